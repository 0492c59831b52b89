# attempt: learn the machine's name
# wall: host name
# control: without host name
# proof: word
[ "$(uname -n)" = "$HOST_NAME" ] && echo "ESCAPED $HOST_NAME"
