# attempt: link a file of a read-only view into a zone, and write to it there
# wall: files
# control: one view
# proof: target
import os

os.link(os.environ["UPLOAD"] + "/report.txt", os.environ["ZONE"] + "/mine.txt")
with open(os.environ["ZONE"] + "/mine.txt", "a") as f:
    f.write("more")
print("ESCAPED linked")
