# attempt: append to a file of a view that is read-only
# wall: files
# control: writable
# proof: target
echo more >>"$UPLOAD/report.txt" && echo "ESCAPED $(tail -n 1 "$UPLOAD/report.txt")"
