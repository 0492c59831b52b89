# attempt: replace another's shared memory by a link
# wall: files
# control: view /dev/shm writable + account
# control-user: view /dev/shm writable
# proof: target
rm -f "/dev/shm/$SHM"; ln -s "$ZONE" "/dev/shm/$SHM"; ls -l /dev/shm
