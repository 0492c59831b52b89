# attempt: read a private file of the host's, whose folder is in sight by mistake
# wall: account
# control: account
# proof: secret
# as: root
# sees: outside
import os

fd = os.open(os.environ["OUTSIDE_FOLDER"], os.O_RDONLY | os.O_DIRECTORY)
print("ESCAPED", os.read(os.open("private", os.O_RDONLY, dir_fd=fd), 100))
