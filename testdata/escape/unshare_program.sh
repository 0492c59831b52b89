# attempt: become root of a user namespace by the system's own program
# wall: system calls
# control: without system calls
# proof: word
[ "$(unshare --user --map-root-user id -u)" = 0 ] && echo ESCAPED root
