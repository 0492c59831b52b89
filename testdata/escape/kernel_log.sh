# attempt: read the system's log through its device
# wall: files
# control: bare root: in a user namespace nobody has the capability that the log asks for
# control-user: none: the log asks for a capability
# proof: word
# needs: /dev/kmsg
timeout 1 dd if=/dev/kmsg bs=8192 count=1 2>/dev/null | grep -q . && echo ESCAPED log
