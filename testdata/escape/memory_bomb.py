# attempt: take more memory than it may
# wall: memory
# control: limit memory
# proof: word
# limit: memory
import time

taken = []
for _ in range(60):
    taken.append(b"x" * (4 << 20))
    time.sleep(0.02)
print("ESCAPED with", len(taken) * 4, "MiB")
