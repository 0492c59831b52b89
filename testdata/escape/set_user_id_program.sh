# attempt: run a program that belongs to root and sets its user
# wall: privileges
# control: bare: that privileges are not gained is said three times over, by the mount, by the process and by the user namespace
# proof: word
# as: root
"$TOOLS/setid" | grep 'euid=0' && echo ESCAPED root
