# attempt: signal the host
# wall: other processes
# control: without other processes + account
# control-user: without other processes
# proof: target
# watch: signals
import os, signal

os.kill(int(os.environ["HOST_PID"]), signal.SIGUSR1)
print("ESCAPED signalled")
