# attempt: map the shared memory of another
# wall: files
# control: view /dev/shm
# proof: secret
import mmap, os

fd = os.open("/dev/shm/" + os.environ["SHM"], os.O_RDONLY)
print("ESCAPED", mmap.mmap(fd, 0, prot=mmap.PROT_READ)[:])
