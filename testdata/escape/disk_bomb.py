# attempt: fill a zone beyond its quota
# wall: disk
# control: limit disk
# proof: word
# limit: disk
import os, time

for n in range(40):
    with open(f"{os.environ['ZONE']}/bomb-{n}", "wb") as f:
        f.write(bytes(1 << 20))
    time.sleep(0.05)
print("ESCAPED with", n + 1, "MiB")
