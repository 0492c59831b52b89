# attempt: climb out of the zone
# wall: files
# control: view outside
# proof: secret
cd "$ZONE" && cat "../../../../../../../../..$OUTSIDE" && echo && echo ESCAPED
