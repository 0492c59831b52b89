# attempt: have the host keep more output than it wants
# wall: output
# control: limit output
# proof: word
# limit: output
echo ESCAPED
yes "more and more and more" | head -c 300000
