# attempt: read a file of the host's by its path
# wall: files
# control: view outside
# proof: secret
echo "ESCAPED $(cat "$OUTSIDE")" | grep 'ESCAPED .'
