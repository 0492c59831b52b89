# attempt: leave a process behind, in a session of its own
# wall: other processes
# control: without other processes
# proof: target
setsid sh -c 'echo >"$ZONE/up"; while :; do sleep 1; done' "left-$NONCE" </dev/null >/dev/null 2>&1 &
until [ -e "$ZONE/up" ]; do sleep 0.01; done
echo left
