# attempt: carry words out in a name that is looked up
# wall: network
# control: without network
# proof: target
import os, socket, struct

name = b"".join(bytes([len(part)]) + part for part in [b"carried", b"out", b"example"]) + b"\0"
query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(2)
    s.connect(("127.0.0.1", int(os.environ["UDP"])))
    s.send(query)
    if s.recv(100)[:2] == query[:2]:
        print("ESCAPED answered")
