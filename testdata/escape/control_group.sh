# attempt: leave for a control group without limits
# wall: files
# control: view /sys/fs/cgroup writable + account
# control-user: none: the machine's control groups are root's
# proof: word
# needs: /sys/fs/cgroup
find /sys/fs/cgroup -name cgroup.procs 2>/dev/null | while read -r file; do
	group=$(dirname "$file")/escape-$NONCE
	mkdir "$group" 2>/dev/null && rmdir "$group" && echo "ESCAPED $group" && break
done
