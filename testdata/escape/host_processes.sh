# attempt: watch what another process does
# wall: other processes
# control: without other processes
# proof: word
grep -q '^Name:.sleep' "/proc/$VICTIM_PID/status" && echo "ESCAPED $(grep State "/proc/$VICTIM_PID/status")"
