# attempt: connect to a socket that is in no folder
# wall: network
# control: without network
# proof: secret
import os, socket

with socket.socket(socket.AF_UNIX) as s:
    s.connect("\0" + os.environ["ABSTRACT"])
    print("ESCAPED", s.recv(100))
