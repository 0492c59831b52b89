# attempt: fill a zone with empty files beyond its quota
# wall: disk
# control: limit disk
# proof: word
# limit: disk
cd "$ZONE" || exit
n=0
while [ "$n" -lt 4000 ]; do
	: >"$n" || exit
	n=$((n + 1))
	[ $((n % 100)) = 0 ] && sleep 0.05
done
echo "ESCAPED with $n files"
