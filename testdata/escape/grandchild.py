# attempt: outlive its own end, as a grandchild that holds on to the output
# wall: other processes
# control: without other processes
# proof: target
import os, time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sh", ["left-" + os.environ["NONCE"], "-c", 'echo >"$ZONE/up"; while :; do sleep 1; done'])
    os._exit(0)
while not os.path.exists(os.environ["ZONE"] + "/up"):
    time.sleep(0.01)
