# attempt: cover a folder by the system's mount program, as root of namespaces
# wall: system calls
# control: without system calls
# proof: word
unshare --user --map-root-user --mount sh -c 'mount --bind /usr /tmp && [ -d /tmp/bin ]' && echo ESCAPED mounted
