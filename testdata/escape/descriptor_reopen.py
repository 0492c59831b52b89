# attempt: open a descriptor that was passed for reading once more, for writing
# wall: account
# control: account
# proof: target
# passes: file of the host's read-only
# as: root
import os

os.write(os.open("/proc/self/fd/3", os.O_WRONLY | os.O_APPEND), b"more")
print("ESCAPED written")
