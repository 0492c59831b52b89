# attempt: send a datagram to the machine's loopback, and to all that listen there
# wall: network
# control: without network
# proof: target
import os, socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.settimeout(0.3)
    for host in "127.0.0.1", "0.0.0.0", "255.255.255.255":
        try:
            s.sendto(b"out", (host, int(os.environ["UDP"])))
        except OSError as e:
            print(host, e)
    try:
        print("ESCAPED", s.recv(10))
    except OSError as e:
        print(e)
