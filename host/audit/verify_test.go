package audit_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
)

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// recompute checks a log by the formula of the package's documentation, and
// nothing else of the package, and returns how many entries it has.
func recompute(t testing.TB, log string) int {
	t.Helper()
	prev, n := strings.Repeat("0", 64), 0
	for line := range strings.Lines(log) {
		n++
		end := strings.LastIndex(line, `,"hash":"`)
		if end < 0 || len(line)-end != 76 || !strings.HasSuffix(line, "\"}\n") {
			t.Fatalf("line %d doesn't end as lines do: %q", n, line)
		}
		hash := line[end+9 : end+73]
		if want := sha(line[:end] + "}"); hash != want {
			t.Fatalf("line %d has the hash %s, want %s", n, hash, want)
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		if e["prev"] != prev || e["hash"] != hash || e["seq"] != float64(n) {
			t.Fatalf("line %d has seq %v, prev %v, hash %v", n, e["seq"], e["prev"], e["hash"])
		}
		prev = hash
	}
	return n
}

// written returns the content of a log of n entries.
func written(t testing.TB, n int) string {
	l, path := open(t, audit.Config{})
	for i := range n {
		e := sample
		e.Message = fmt.Sprintf("entry %d \u202e %s", i, strings.Repeat("x", i))
		must(t, l.Append(e))
	}
	must(t, l.Close())
	return read(t, path)
}

func TestTheFormulaHoldsForEveryLine(t *testing.T) {
	log := written(t, 20)
	if n := recompute(t, log); n != 20 {
		t.Errorf("the log has %d entries", n)
	}
	sum, err := audit.Verify(strings.NewReader(log))
	must(t, err)
	last := strings.Split(log, "\n")[19]
	if sum.Entries != 20 || sum.LastSeq != 20 || sum.Bytes != int64(len(log)) || !strings.Contains(last, sum.LastHash) || sum.First.After(sum.Last) || sum.First.IsZero() {
		t.Errorf("the summary is %+v", sum)
	}
}

// A line as it has to be written, so that a change of the format is noticed.
func TestALineIsWrittenAsDocumented(t *testing.T) {
	line := strings.Split(written(t, 1), "\n")[0]
	var e audit.Entry
	must(t, json.Unmarshal([]byte(line), &e))
	want := `{"seq":1,"time":"` + e.Time.Format("2006-01-02T15:04:05.999999999Z07:00") + `","kind":"op.intent","principal":"agent:ana","request":"r-1","session":"s-1","call":"c-2","caller":"c-1","plugin":"python",` +
		`"digest":"sha256:` + strings.Repeat("ab", 32) + `","tool":"python_run","op":"kernel.execute","detail":{"bytes":"120","language":"python"},"code":"permission_denied","message":"entry 0 \u202e ",` +
		`"prev":"` + strings.Repeat("0", 64) + `","hash":"` + e.Hash + `"}`
	if line != want || !strings.HasSuffix(e.Time.Format("2006-01-02T15:04:05.999999999Z07:00"), "Z") {
		t.Errorf("the line is\n%s\nwant\n%s", line, want)
	}
}

// rehash makes a line's hash right again, as somebody who edits the log would.
func rehash(line string) string {
	end := strings.LastIndex(line, `,"hash":"`)
	return line[:end] + `,"hash":"` + sha(line[:end]+"}") + "\"}\n"
}

// otherHash returns a line with another last digit of its hash.
func otherHash(line string) string {
	at := len(line) - len("0\"}\n")
	digit := "0"
	if line[at] == '0' {
		digit = "1"
	}
	return line[:at] + digit + line[at+1:]
}

func TestTamperingShowsAtItsLine(t *testing.T) {
	log := written(t, 10)
	lines := strings.SplitAfter(log, "\n")[:10]
	join := func(edit func([]string) []string) string {
		return strings.Join(edit(append([]string(nil), lines...)), "")
	}
	replace := func(n int, line string) string {
		return join(func(l []string) []string { l[n-1] = line; return l })
	}
	for name, test := range map[string]struct {
		log  string
		line int64
		says string
	}{
		"a changed byte":             {replace(4, strings.Replace(lines[3], "ana", "bob", 1)), 4, "was changed"},
		"a changed byte in the last": {replace(10, strings.Replace(lines[9], "ana", "bob", 1)), 10, "was changed"},
		"a changed hash":             {replace(4, otherHash(lines[3])), 4, ""},
		"an added space":             {replace(4, strings.Replace(lines[3], `,"kind"`, `, "kind"`, 1)), 4, "was changed"},
		"a changed line, rehashed":   {replace(4, rehash(strings.Replace(lines[3], "ana", "bob", 1))), 5, "lines were removed, added or moved"},
		"a changed number, rehashed": {replace(10, rehash(strings.Replace(lines[9], `"seq":10`, `"seq":11`, 1))), 10, "has the number 11 and should have 10"},
		"the first line removed":     {strings.Join(lines[1:], ""), 1, "lines were removed, added or moved between number 0 and number 2"},
		"a removed line":             {join(func(l []string) []string { return append(l[:4], l[5:]...) }), 5, "lines were removed, added or moved between number 4 and number 6"},
		"swapped lines":              {join(func(l []string) []string { l[4], l[5] = l[5], l[4]; return l }), 5, "between number 4 and number 6"},
		"a line twice":               {join(func(l []string) []string { l[5] = l[4]; return l }), 6, "lines were removed, added or moved"},
		"an added line":              {join(func(l []string) []string { l[4] += "{}\n"; return l }), 6, "doesn't end with a hash"},
		"an empty line":              {join(func(l []string) []string { l[4] += "\n"; return l }), 6, "is no entry"},
		"a tail cut in a line":       {log[:len(log)-10], 10, "isn't complete"},
		"a tail without line feed":   {log[:len(log)-1], 10, "isn't complete"},
		"no object":                  {rehash(`["seq",1,"hash":"x`), 1, "is no entry"},
		"another hash inside":        {replace(1, rehash(strings.Replace(lines[0], `"seq":1`, `"seq":1,"Hash":"x"`, 1))), 2, ""},
		"other numbers":              {replace(1, rehash(strings.Replace(lines[0], `"seq":1`, `"seq":"1"`, 1))), 1, "is no entry"},
		"a line that is too long":    {replace(3, strings.Repeat("x", audit.MaxLine+1)+"\n"), 3, "is longer than"},
		"a carriage return":          {replace(3, strings.TrimSuffix(lines[2], "\n")+"\r\n"), 3, "doesn't end with a hash"},
		"another file":               {"hello\n", 1, "is no entry"},
	} {
		t.Run(name, func(t *testing.T) {
			sum, err := audit.Verify(strings.NewReader(test.log))
			code(t, err, abi.CodeFailedPrecondition)
			var b *audit.Break
			if !errors.As(err, &b) {
				t.Fatalf("the cause of %v is no Break", err)
			}
			if b.Line != test.line || !strings.Contains(b.Reason, test.says) {
				t.Errorf("it breaks at line %d, which %s; want line %d, which %s", b.Line, b.Reason, test.line, test.says)
			}
			if msg := abi.AsError(err).Message; !strings.Contains(msg, fmt.Sprintf("line %d ", test.line)) {
				t.Errorf("the message is %q", msg)
			}
			if sum.Entries != test.line-1 || b.Offset != sum.Bytes {
				t.Errorf("the summary up to there is %+v, the break at byte %d", sum, b.Offset)
			}
		})
	}
}

func TestEveryByteCounts(t *testing.T) {
	log := written(t, 3)
	for i := range log {
		for _, flip := range []byte{0x01, 0x20, 0x80} {
			changed := []byte(log)
			changed[i] ^= flip
			if _, err := audit.Verify(strings.NewReader(string(changed))); err == nil {
				t.Fatalf("byte %d was changed from %q to %q, and nobody noticed", i, log[i], changed[i])
			}
		}
	}
}

// What a chain can't show by itself, and what does.
func TestLinesCutOffAtTheEndShowAgainstAnAnchorOnly(t *testing.T) {
	log := written(t, 10)
	anchor, err := audit.Verify(strings.NewReader(log))
	must(t, err)
	cut := strings.Join(strings.SplitAfter(log, "\n")[:7], "")
	sum, err := audit.Verify(strings.NewReader(cut))
	must(t, err)
	if sum.LastSeq >= anchor.LastSeq || sum.LastHash == anchor.LastHash {
		t.Errorf("the summary of what is left is %+v, of all %+v", sum, anchor)
	}
}

func TestTheEmptyLogIsWhole(t *testing.T) {
	sum, err := audit.Verify(strings.NewReader(""))
	must(t, err)
	if sum != (audit.Summary{LastHash: strings.Repeat("0", 64)}) {
		t.Errorf("the summary is %+v", sum)
	}
}

func TestVerifySaysWhenItCanNotRead(t *testing.T) {
	broken := errors.New("bad sector")
	_, err := audit.Verify(iotest.ErrReader(broken))
	code(t, err, abi.CodeUnavailable)
	if !errors.Is(err, broken) {
		t.Errorf("the cause of %v isn't %v", err, broken)
	}
	sum, err := audit.Verify(iotest.OneByteReader(strings.NewReader(written(t, 3))))
	if must(t, err); sum.Entries != 3 {
		t.Errorf("the summary is %+v", sum)
	}
}

// What Verify accepts is a chain by the documented formula, and no byte of it
// can be changed.
func FuzzVerify(f *testing.F) {
	log := written(f, 3)
	for _, seed := range []string{"", "\n", "{}\n", log, log[:len(log)-1], strings.SplitAfter(log, "\n")[0], rehash(`{"seq":1,"time":"2026-01-02T03:04:05Z","prev":"` + strings.Repeat("0", 64) + `","hash":"`), log + "\x00"} {
		f.Add([]byte(seed), 100)
	}
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		sum, err := audit.Verify(strings.NewReader(string(data)))
		if err != nil {
			if abi.CodeOf(err) != abi.CodeFailedPrecondition {
				t.Errorf("error is %v", err)
			}
			return
		}
		if n := recompute(t, string(data)); int64(n) != sum.Entries || sum.Bytes != int64(len(data)) {
			t.Errorf("the log has %d entries, the summary is %+v", n, sum)
		}
		if len(data) == 0 {
			return
		}
		changed := append([]byte(nil), data...)
		changed[uint(at)%uint(len(data))] ^= 1
		if _, err := audit.Verify(strings.NewReader(string(changed))); err == nil {
			t.Error("a changed byte wasn't noticed")
		}
	})
}

// Whatever is appended comes back, and the chain stays whole.
func FuzzAppend(f *testing.F) {
	f.Add("op.intent", "s-1", "message", "key", "value")
	f.Add("\x00", "\xff", "\u009b\u202e\U000e0041", "", strings.Repeat("\x01", 3000))
	f.Add("k", `","hash":"`, "\n", "…", "\u2028<>&")
	f.Fuzz(func(t *testing.T, kind, session, message, key, value string) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l, err := audit.Open(audit.Config{Path: path})
		must(t, err)
		defer l.Close()
		e := audit.Entry{Kind: "k" + kind, Session: session, Message: message, Detail: map[string]string{key: value}}
		must(t, l.Append(e))
		must(t, l.Append(e))
		got, err := l.Read(audit.Filter{})
		must(t, err)
		valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		for what, pair := range map[string][2]string{"session": {got[1].Session, session}, "message": {got[1].Message, message}, "detail": {got[1].Detail[valid(key)], value}} {
			if want := valid(pair[1]); len(want) <= audit.MaxName && len(valid(key)) <= audit.MaxKey && pair[0] != want {
				t.Errorf("the %s came back as %q, want %q", what, pair[0], want)
			}
		}
		if session != "" {
			if found, err := l.Read(audit.Filter{Session: got[1].Session}); err != nil || len(found) != 2 {
				t.Errorf("the session %q finds %d entries, %v", got[1].Session, len(found), err)
			}
		}
		b, err := os.ReadFile(path)
		must(t, err)
		if recompute(t, string(b)) != 2 || strings.Count(string(b), "\n") != 2 {
			t.Errorf("the log is %q", b)
		}
	})
}
