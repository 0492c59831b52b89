# attempt: connect to the machine's loopback
# wall: network
# control: without network
# proof: target
# listens: yes
import os, socket

with socket.create_connection(("127.0.0.1", int(os.environ["TCP"])), timeout=2) as c:
    c.recv(1)
    print("ESCAPED", c.getpeername())
