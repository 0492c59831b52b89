# attempt: write to, cut short and map a descriptor that was passed for reading
# wall: descriptors
# control: file writable
# proof: target
# passes: file read-only
import fcntl, mmap, os

def attempt(do):
    try:
        do()
        print("ESCAPED", do)
    except (OSError, ValueError) as e:
        print(e)

fcntl.fcntl(3, fcntl.F_SETFL, os.O_RDWR | os.O_APPEND)
attempt(lambda: os.write(3, b"more"))
attempt(lambda: os.pwrite(3, b"more", 0))
attempt(lambda: os.ftruncate(3, 1))
attempt(lambda: mmap.mmap(3, 1, prot=mmap.PROT_WRITE).write(b"m"))
