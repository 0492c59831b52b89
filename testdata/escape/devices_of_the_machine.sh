# attempt: list the machine's network devices and their addresses
# wall: files
# control: view /sys
# proof: word
for device in /sys/class/net/*/address; do [ -r "$device" ] && echo "ESCAPED $device $(cat "$device")"; done
