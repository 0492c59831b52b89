# attempt: find the sockets of other sessions' kernels in the system's table
# wall: network
# control: without network
# proof: secret
# listens: yes
for line in open("/proc/net/unix"):
    if "/kernel-" in line:
        print("ESCAPED", line)
