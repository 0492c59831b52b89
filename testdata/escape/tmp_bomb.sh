# attempt: fill the folder for temporary files beyond its size
# wall: files
# control: folder at /tmp
# proof: word
dd if=/dev/zero of=/tmp/bomb bs=1M count=80 2>&1 && echo ESCAPED with 80 MiB
