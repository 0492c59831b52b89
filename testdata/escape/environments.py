# attempt: read a secret in the environment of the processes above and beside
# wall: other processes
# control: bare: to another user namespace /proc gives no environment, whatever else is missing
# proof: secret
import glob, os

for file in [f"/proc/{os.getppid()}/environ", *glob.glob("/proc/[0-9]*/environ")]:
    try:
        for entry in open(file, "rb").read().split(b"\0"):
            if entry.startswith(b"HOST_SECRET="):
                print("ESCAPED", file, entry)
    except OSError:
        pass
