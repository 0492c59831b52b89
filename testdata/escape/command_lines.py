# attempt: read a secret off the command line of another process
# wall: other processes
# control: without other processes
# proof: secret
import glob

for file in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        line = open(file, "rb").read()
    except OSError:
        continue
    if b"secret" in line:
        print("ESCAPED", line)
