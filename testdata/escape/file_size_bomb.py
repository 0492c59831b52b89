# attempt: write a file that is larger than it may be
# wall: file size
# control: limit file size
# proof: word
# limit: file size
import os

with open(os.environ["ZONE"] + "/bomb", "wb") as f:
    f.seek(4 << 20)
    f.write(b"x")
print("ESCAPED with", os.stat(f.name).st_size)
