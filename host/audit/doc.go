// Package audit keeps the log of who did what: one JSON object a line, each
// with the hash of the one before, in a file that is only ever added to.
//
// # Format
//
// The file is UTF-8. Every line ends with one line feed (0x0a) and is at most
// [MaxLine] bytes long. A line is a JSON object whose members stand in the
// order of [Entry]'s fields, without spaces; members that are empty are left
// out, save seq, time, kind, prev and hash. Control and formatting characters
// are written as \u escapes, so that showing the file in a terminal is safe.
// The last member is always hash, so a line ends with
//
//	,"prev":"<64 hex digits>","hash":"<64 hex digits>"}
//
// and this is how the chain is made, with | joining bytes:
//
//	hash(n) = hex(SHA-256(body(n)))
//	body(n) = line n up to and without `,"hash":"` of its end | "}"
//	prev(n) = hash(n-1), and prev(1) is 64 zeros
//	seq(n)  = n
//
// The hash is over bytes as they are in the file, so it can be recomputed
// without writing JSON. In Python:
//
//	prev = "0" * 64
//	for n, line in enumerate(open("audit.jsonl", "rb"), 1):
//	    body = line[:-76] + b"}"
//	    entry = json.loads(line)
//	    assert hashlib.sha256(body).hexdigest() == entry["hash"]
//	    assert entry["prev"] == prev and entry["seq"] == n
//	    prev = entry["hash"]
//
// # What the chain shows, and what it can't
//
// A byte that was changed, and a line that was removed, added or moved, break
// the chain at a line that [Verify] names. What it can't show by itself: lines
// cut off at the end, for what is left is a whole chain; and a log that was
// written anew from some line on, for there is no secret in it. Both show
// against an anchor kept elsewhere: note [Log.Head] from time to time, where
// the host's account can't write, and compare.
//
// # What is on the disk when
//
// Append hands each entry to the operating system in one write, so entries
// outlive the host's process. They outlive a loss of power only when they were
// synced: by Config.Sync after each, else by Close. A host that was killed in
// mid-write leaves a torn last line; Open moves its bytes to a file beside the
// log and records that as an entry of kind log.repair. Anything else that is
// wrong with the log makes Open fail: it is evidence, and stays as it is.
//
// # What it isn't
//
// It isn't rotated, and grows by some 500 bytes an entry. One Log may be open
// over a file at a time; who holds the data directory sees to that. Entries
// hold what callers put there: keeping secrets out is theirs to do.
package audit
