# attempt: fill the file system in memory beyond its size
# wall: files
# control: folder at /dev/shm
# proof: word
import os

with open("/dev/shm/bomb", "wb") as f:
    for _ in range(300):
        f.write(bytes(1 << 20))
print("ESCAPED with", os.stat("/dev/shm/bomb").st_size)
