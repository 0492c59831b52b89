package audit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
)

// open opens a log in a folder of its own, or the one at path.
func open(t testing.TB, cfg audit.Config) (*audit.Log, string) {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "audit.jsonl")
	}
	l, err := audit.Open(cfg)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l, cfg.Path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func code(t testing.TB, err error, want abi.Code) {
	t.Helper()
	if got := abi.CodeOf(err); err == nil || got != want {
		t.Errorf("error is %v, want the code %v", err, want)
	}
}

var sample = audit.Entry{
	Kind: audit.KindOpIntent, Principal: "agent:ana", Request: "r-1", Session: "s-1", Call: "c-2", Caller: "c-1", Plugin: "python",
	Digest: "sha256:" + strings.Repeat("ab", 32), Tool: "python_run", Op: abi.OpKernelExecute,
	Detail: map[string]string{"language": "python", "bytes": "120"}, Code: "permission_denied", Message: "it isn't granted",
}

func TestEntriesComeBackAsTheyWereWritten(t *testing.T) {
	l, path := open(t, audit.Config{})
	before := time.Now()
	must(t, l.Append(sample))
	must(t, l.Append(audit.Entry{Kind: audit.KindHostStop}))
	entries, err := l.Read(audit.Filter{})
	must(t, err)
	if len(entries) != 2 {
		t.Fatalf("read %d entries", len(entries))
	}
	got := entries[0]
	if got.Seq != 1 || entries[1].Seq != 2 || got.Prev != strings.Repeat("0", 64) || entries[1].Prev != got.Hash {
		t.Errorf("the chain is %+v", entries)
	}
	if got.Time.Before(before) || got.Time.After(time.Now()) || got.Time.Location() != time.UTC {
		t.Errorf("the time is %v", got.Time)
	}
	want := sample
	want.Seq, want.Time, want.Prev, want.Hash = got.Seq, got.Time, got.Prev, got.Hash
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read\n%+v\nwrote\n%+v", got, want)
	}
	seq, hash := l.Head()
	if seq != 2 || hash != entries[1].Hash {
		t.Errorf("the head is %d, %s", seq, hash)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
}

func TestEveryLineIsShortAndShowsNoControlCharacters(t *testing.T) {
	l, path := open(t, audit.Config{})
	for _, piece := range []string{"\x00", "\x1b[2J\n\r\t", "\u009b", "\x7f", "\u202e", "\U000e0041", "\u2028", "<&>", `"\`, "\xff", "é", "漢", "😀"} {
		long := strings.Repeat(piece, 20_000/len(piece))
		e := audit.Entry{
			Kind: piece + long, Principal: long, Request: long, Session: long, Call: long, Caller: long, Plugin: long, Digest: long,
			Tool: long, Op: long, Code: long, Message: long, Detail: map[string]string{},
		}
		for i := range 100 {
			e.Detail[fmt.Sprint(i, long)] = long
		}
		must(t, l.Append(e))
		must(t, l.Append(audit.Entry{Kind: audit.KindFile, Message: piece, Detail: map[string]string{piece: piece}}))
		entries, err := l.Read(audit.Filter{Limit: 2})
		must(t, err)
		if got := entries[1]; got.Message != strings.ToValidUTF8(piece, "\uFFFD") || got.Detail[got.Message] != got.Message {
			t.Errorf("%q came back as %+v", piece, got)
		}
		got := entries[0]
		if len(got.Principal) > audit.MaxName || len(got.Message) > audit.MaxMessage || len(got.Detail) > audit.MaxKeys {
			t.Errorf("%q: %d, %d bytes and %d details", piece, len(got.Principal), len(got.Message), len(got.Detail))
		}
		if !strings.HasSuffix(got.Message, " bytes)") || utf8.ValidString(piece) && !strings.HasPrefix(got.Message, piece) {
			t.Errorf("%q: a cut message is %q", piece, got.Message)
		}
		if got.Detail["…"] == "" {
			t.Errorf("%q: details were dropped in silence", piece)
		}
	}
	for line := range strings.Lines(read(t, path)) {
		if len(line) > audit.MaxLine {
			t.Errorf("a line has %d bytes", len(line))
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' {
				t.Fatalf("a line has %U in it", r)
			}
		}
		if !utf8.ValidString(line) {
			t.Error("a line isn't UTF-8")
		}
	}
	_, err := l.Verify()
	must(t, err)
}

func TestCutSaysHowMuch(t *testing.T) {
	l, _ := open(t, audit.Config{})
	must(t, l.Append(audit.Entry{
		Kind: audit.KindFile, Tool: strings.Repeat("x", audit.MaxName), Message: strings.Repeat("x", audit.MaxMessage+1),
		Detail: map[string]string{"a": strings.Repeat("x", 2000)},
	}))
	entries, err := l.Read(audit.Filter{})
	must(t, err)
	if got := entries[0].Tool; got != strings.Repeat("x", audit.MaxName) {
		t.Errorf("a string at its bound was cut: %q", got)
	}
	kept, mark, _ := strings.Cut(entries[0].Message, "…")
	if want := fmt.Sprintf("(+%d bytes)", audit.MaxMessage+1-len(kept)); mark != want {
		t.Errorf("the mark is %q, want %q", mark, want)
	}
	must(t, l.Append(audit.Entry{Kind: audit.KindFile, Tool: strings.Repeat("\xffa", 100)}))
	grown, err := l.Read(audit.Filter{Limit: 1})
	must(t, err)
	if got := grown[0].Tool; len(got) > audit.MaxName || !strings.HasSuffix(got, " bytes)") || strings.Contains(got, "-") {
		t.Errorf("what grew over its bound is %q", got)
	}
	if got := entries[0].Detail["a"]; len(got) > audit.MaxValue || !strings.Contains(got, "…(+") {
		t.Errorf("a detail of %d bytes is kept", len(got))
	}
}

func TestAnEntryNeedsAKind(t *testing.T) {
	l, _ := open(t, audit.Config{})
	code(t, l.Append(audit.Entry{Message: "x"}), abi.CodeInvalidArgument)
	if seq, _ := l.Head(); seq != 0 {
		t.Errorf("the head is %d", seq)
	}
}

func TestAppendDoesNotChangeItsCallersDetail(t *testing.T) {
	l, _ := open(t, audit.Config{})
	detail := map[string]string{"a": strings.Repeat("x", 5000)}
	must(t, l.Append(audit.Entry{Kind: audit.KindFile, Detail: detail}))
	if len(detail["a"]) != 5000 {
		t.Error("the caller's map was changed")
	}
}

func TestAChainGoesOnWhenTheLogIsOpenedAgain(t *testing.T) {
	for _, sync := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		for range 3 {
			l, err := audit.Open(audit.Config{Path: path, Sync: sync})
			must(t, err)
			must(t, l.Append(sample))
			must(t, l.Append(sample))
			must(t, l.Close())
			must(t, l.Close())
			code(t, l.Append(sample), abi.CodeFailedPrecondition)
			_, err = l.Read(audit.Filter{})
			code(t, err, abi.CodeFailedPrecondition)
		}
		sum, err := audit.Verify(strings.NewReader(read(t, path)))
		if must(t, err); sum.Entries != 6 || sum.LastSeq != 6 {
			t.Errorf("the summary is %+v", sum)
		}
	}
}

func TestParallelAppendsMakeOneChain(t *testing.T) {
	l, path := open(t, audit.Config{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 100 {
				e := sample
				e.Call = fmt.Sprintf("c-%d-%d", i, n)
				if err := l.Append(e); err != nil {
					t.Error(err)
				}
				if n%20 == 0 {
					if _, err := l.Verify(); err != nil {
						t.Error(err)
					}
					if got, err := l.Read(audit.Filter{Call: e.Call}); err != nil || len(got) != 1 {
						t.Errorf("read %v, %v", got, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := recompute(t, read(t, path)); n != 800 {
		t.Errorf("the log has %d entries", n)
	}
}

// torn are the ways in which a killed host can leave the end of its log.
func torn(whole string) map[string]string {
	last := strings.LastIndex(strings.TrimSuffix(whole, "\n"), "\n") + 1
	return map[string]string{
		"one byte":                  whole + "{",
		"half a line":               whole + whole[last:last+100],
		"all but the line feed":     strings.TrimSuffix(whole, "\n"),
		"zeros":                     whole + strings.Repeat("\x00", 5000),
		"longer than a line can be": whole + strings.Repeat("x", 2*audit.MaxLine),
		"the first line":            whole[:50],
	}
}

func TestATornLastLineIsMovedAside(t *testing.T) {
	l, path := open(t, audit.Config{})
	for range 3 {
		must(t, l.Append(sample))
	}
	must(t, l.Close())
	for name, content := range torn(read(t, path)) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			must(t, os.WriteFile(path, []byte(content), 0o600))
			whole := content[:strings.LastIndex(content, "\n")+1]
			if must(t, audit.Check(path)); read(t, path) != content {
				t.Error("the check changed the file")
			}
			l, _ := open(t, audit.Config{Path: path})
			entries, err := l.Read(audit.Filter{})
			must(t, err)
			repair := entries[len(entries)-1]
			if repair.Kind != audit.KindRepair || len(entries) != strings.Count(whole, "\n")+1 {
				t.Fatalf("the log is %+v", entries)
			}
			aside := read(t, filepath.Join(filepath.Dir(path), repair.Detail["file"]))
			if aside != content[len(whole):] || repair.Detail["bytes"] != fmt.Sprint(len(aside)) || repair.Detail["sha256"] != sha(aside) {
				t.Errorf("%d bytes were moved aside, and recorded as %v", len(aside), repair.Detail)
			}
			must(t, l.Append(sample))
			must(t, l.Close())
			if now := read(t, path); !strings.HasPrefix(now, whole) {
				t.Error("whole lines were changed")
			} else {
				recompute(t, now)
			}
		})
	}
}

func TestOpenRefusesALogThatIsNotWhole(t *testing.T) {
	l, path := open(t, audit.Config{})
	for range 5 {
		must(t, l.Append(sample))
	}
	must(t, l.Close())
	whole := read(t, path)
	lines := strings.SplitAfter(whole, "\n")
	for name, content := range map[string]string{
		"a changed byte":               strings.Replace(whole, "agent:ana", "agent:bob", 1),
		"a removed line":               lines[0] + lines[2] + lines[3],
		"a changed byte, and torn":     strings.Replace(whole, "agent:ana", "agent:bob", 1) + "{",
		"no audit log":                 "hello\n",
		"no audit log, without a line": strings.Repeat("x", 2*audit.MaxLine),
		"an empty line":                whole + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(path, []byte(content), 0o600))
			l, err := audit.Open(audit.Config{Path: path})
			code(t, err, abi.CodeFailedPrecondition)
			if checked := audit.Check(path); fmt.Sprint(checked) != fmt.Sprint(err) {
				t.Errorf("the check says %v, and opening it %v", checked, err)
			}
			if e := abi.AsError(err); !strings.Contains(e.Message, path) || e.Hint == "" {
				t.Errorf("the error is %q, its hint %q", e.Message, e.Hint)
			}
			if l != nil {
				t.Error("a log was returned")
			}
			if read(t, path) != content {
				t.Error("the file was changed")
			}
			if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
				t.Errorf("there are %v", files)
			}
		})
	}
}

func TestOpenChecksAsMuchAsItIsToldTo(t *testing.T) {
	l, path := open(t, audit.Config{})
	for range 50 {
		must(t, l.Append(sample))
	}
	must(t, l.Close())
	whole := read(t, path)
	lines := strings.SplitAfter(whole, "\n")
	changed := func(n int) string {
		edited := append([]string(nil), lines...)
		edited[n] = strings.Replace(lines[n], "agent:ana", "agent:bob", 1)
		return strings.Join(edited, "")
	}
	for _, test := range []struct {
		verify  int64
		content string
		ok      bool
	}{
		{0, whole, true}, {-1, whole, true}, {1, whole, true}, {5000, whole, true},
		{0, changed(0), false}, {-1, changed(0), false}, {5000, changed(0), true}, {5000, changed(47), false},
		{1, changed(49), false}, {1, changed(48), true}, {int64(len(lines[49])) + 1, changed(48), false},
	} {
		must(t, os.WriteFile(path, []byte(test.content), 0o600))
		l, err := audit.Open(audit.Config{Path: path, Verify: test.verify})
		if (err == nil) != test.ok {
			t.Errorf("verifying %d bytes: %v", test.verify, err)
		}
		if err != nil {
			continue
		}
		must(t, l.Append(sample))
		if seq, _ := l.Head(); seq != 51 {
			t.Errorf("the chain goes on with %d", seq)
		}
		must(t, l.Close())
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	_, err := audit.Open(audit.Config{Path: pipe})
	code(t, err, abi.CodeFailedPrecondition)
	_, err = audit.Open(audit.Config{Path: dir})
	code(t, err, abi.CodeUnavailable)
	_, err = audit.Open(audit.Config{Path: filepath.Join(dir, "none", "audit.jsonl")})
	code(t, err, abi.CodeUnavailable)
	code(t, audit.Check(pipe), abi.CodeFailedPrecondition)
	code(t, audit.Check(dir), abi.CodeUnavailable)
	must(t, audit.Check(filepath.Join(dir, "none", "audit.jsonl")))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v isn't fs.ErrNotExist", err)
	}
	if _, err := audit.Open(audit.Config{}); err == nil {
		t.Error("opened without a path")
	}
}

func TestALogThatSomebodyElseChangesIsNotWrittenToAnyMore(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 10) },
		"deleted": os.Remove,
		"added to": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("{}\n")
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, path := open(t, audit.Config{})
			must(t, l.Append(sample))
			must(t, change(path))
			for range 2 {
				code(t, l.Append(sample), abi.CodeFailedPrecondition)
			}
		})
	}
}

// A write that the operating system cuts short leaves no part of an entry, and
// the log goes on when there is room again. The limit is a process's, so this
// test runs itself once more.
func TestAFullDiskLeavesTheChainWhole(t *testing.T) {
	const env = "AUDIT_TEST_FULL_DISK"
	if path := os.Getenv(env); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		var limit syscall.Rlimit
		must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
		small := limit
		small.Cur = 4000
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small))
		l, err := audit.Open(audit.Config{Path: path})
		must(t, err)
		n := 0
		for ; err == nil; n++ {
			err = l.Append(sample)
		}
		code(t, err, abi.CodeUnavailable)
		if !errors.Is(err, syscall.EFBIG) {
			t.Errorf("the cause of %v isn't EFBIG", err)
		}
		if recompute(t, read(t, path)) != n-1 {
			t.Errorf("after %d appends, the last of which failed, the log has %d entries", n, recompute(t, read(t, path)))
		}
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
		must(t, l.Append(sample))
		must(t, l.Close())
		if recompute(t, read(t, path)) != n {
			t.Error("the log didn't go on")
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"="+filepath.Join(t.TempDir(), "audit.jsonl"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
