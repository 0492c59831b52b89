# attempt: kill another process of the account by its number
# wall: other processes
# control: without other processes
# proof: target
kill -KILL "$VICTIM_PID" && echo ESCAPED killed
