# attempt: start more processes than it may, each of which starts more
# wall: processes
# control: limit processes
# proof: word
# limit: processes
bomb='[ "$(ls /proc | grep -c "^[0-9]")" -lt 80 ] && { sh -c "$bomb" & sh -c "$bomb" & }; exec sleep 1000'
export bomb
sh -c "$bomb" &
for _ in $(seq 60); do
	running=$(ls /proc | grep -c '^[0-9]')
	[ "$running" -ge 70 ] && echo "ESCAPED with $running processes" && exit
	sleep 0.02
done
