# attempt: write to the pipe on which the host debugs another process
# wall: other processes
# control: bare: to another user namespace /proc gives no descriptors, whatever else is missing
# proof: target
for end in /proc/[0-9]*/fd/*; do
	case $(readlink "$end") in "$PIPE") (echo Browser.close >"$end") && echo ESCAPED "$end" ;; esac
done
