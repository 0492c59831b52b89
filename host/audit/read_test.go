package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
)

func TestReadChoosesEntriesNewestLast(t *testing.T) {
	l, _ := open(t, audit.Config{})
	for i := range 300 {
		must(t, l.Append(audit.Entry{
			Kind: audit.KindOpIntent, Session: fmt.Sprint("s-", i%3), Call: fmt.Sprint("c-", i/10), Plugin: []string{"python", `odd "name"`}[i%2],
			Message: strings.Repeat("s-1 ", i),
		}))
	}
	all, err := l.Read(audit.Filter{})
	must(t, err)
	if len(all) != 300 {
		t.Fatalf("read %d entries", len(all))
	}
	count := func(choose func(audit.Entry) bool) (n int) {
		for _, e := range all {
			if choose(e) {
				n++
			}
		}
		return n
	}
	middle := all[150].Time
	for name, test := range map[string]struct {
		filter audit.Filter
		choose func(audit.Entry) bool
	}{
		"all":           {audit.Filter{}, func(audit.Entry) bool { return true }},
		"session":       {audit.Filter{Session: "s-1"}, func(e audit.Entry) bool { return e.Session == "s-1" }},
		"call":          {audit.Filter{Call: "c-7"}, func(e audit.Entry) bool { return e.Call == "c-7" }},
		"plugin":        {audit.Filter{Plugin: "python"}, func(e audit.Entry) bool { return e.Plugin == "python" }},
		"quoted plugin": {audit.Filter{Plugin: `odd "name"`}, func(e audit.Entry) bool { return e.Plugin == `odd "name"` }},
		"since":         {audit.Filter{Since: middle}, func(e audit.Entry) bool { return !e.Time.Before(middle) }},
		"together":      {audit.Filter{Session: "s-2", Plugin: "python", Since: middle}, func(e audit.Entry) bool { return e.Session == "s-2" && e.Plugin == "python" && !e.Time.Before(middle) }},
		"nothing":       {audit.Filter{Session: "s-4"}, func(audit.Entry) bool { return false }},
		"future":        {audit.Filter{Since: time.Now().Add(time.Hour)}, func(audit.Entry) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := l.Read(test.filter)
			must(t, err)
			if got == nil || len(got) != count(test.choose) {
				t.Errorf("read %d entries, want %d", len(got), count(test.choose))
			}
			for i, e := range got {
				if !test.choose(e) || i > 0 && e.Seq <= got[i-1].Seq {
					t.Errorf("entry %d is number %d of session %s", i, e.Seq, e.Session)
				}
			}
			for _, limit := range []int{1, 2, 7} {
				test.filter.Limit = limit
				some, err := l.Read(test.filter)
				must(t, err)
				if want := got[max(0, len(got)-limit):]; fmt.Sprint(some) != fmt.Sprint(want) {
					t.Errorf("with the limit %d, read %d entries which aren't the last", limit, len(some))
				}
			}
		})
	}
	_, err = l.Read(audit.Filter{Limit: -1})
	code(t, err, abi.CodeInvalidArgument)
}

func TestReadIsBounded(t *testing.T) {
	l, _ := open(t, audit.Config{})
	for range 10_100 {
		must(t, l.Append(audit.Entry{Kind: audit.KindFile}))
	}
	for limit, want := range map[int]int{0: 1000, 5000: 5000, 1 << 40: 10_000} {
		got, err := l.Read(audit.Filter{Limit: limit})
		must(t, err)
		if len(got) != want || got[len(got)-1].Seq != 10_100 {
			t.Errorf("with the limit %d, read %d entries", limit, len(got))
		}
	}
}

func TestReadOfAnEmptyLogIsEmpty(t *testing.T) {
	l, _ := open(t, audit.Config{})
	got, err := l.Read(audit.Filter{})
	if got == nil || len(got) != 0 || err != nil {
		t.Errorf("read %v, %v", got, err)
	}
}

func TestReadSaysWhenALineIsNoEntry(t *testing.T) {
	l, path := open(t, audit.Config{})
	must(t, l.Append(audit.Entry{Kind: audit.KindFile}))
	content := []byte(read(t, path))
	content[0] = '['
	must(t, os.WriteFile(path, content, 0o600))
	_, err := l.Read(audit.Filter{})
	code(t, err, abi.CodeFailedPrecondition)
}

func TestNewestReadsBesideAHostThatWrites(t *testing.T) {
	l, path := open(t, audit.Config{})
	for i := range 2000 {
		must(t, l.Append(audit.Entry{Kind: audit.KindFile, Session: fmt.Sprint("s-", i%2)}))
	}
	whole := read(t, path)
	for name, content := range torn(whole) {
		t.Run(name, func(t *testing.T) {
			want := int64(strings.Count(content, "\n"))
			for e, err := range audit.Newest(strings.NewReader(content), int64(len(content)), audit.Filter{Limit: 1}) {
				must(t, err)
				if e.Seq != want {
					t.Fatalf("entry %d comes where %d should", e.Seq, want)
				}
				want--
			}
			if want != 0 {
				t.Errorf("the entries end before %d", want)
			}
		})
	}
	for e, err := range audit.Newest(strings.NewReader(whole), int64(len(whole)), audit.Filter{Session: "s-0"}) {
		must(t, err)
		if e.Seq != 1999 {
			t.Errorf("the session's newest entry is %d", e.Seq)
		}
		break
	}
	var last error
	for _, err := range audit.Newest(strings.NewReader("hello\n"+whole), int64(len("hello\n"+whole)), audit.Filter{}) {
		last = err
	}
	code(t, last, abi.CodeFailedPrecondition)
}

func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "sync"}[sync], func(b *testing.B) {
			l, _ := open(b, audit.Config{Sync: sync})
			b.ReportAllocs()
			for b.Loop() {
				must(b, l.Append(sample))
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		l, _ := open(b, audit.Config{})
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				must(b, l.Append(sample))
			}
		})
	})
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "audit.jsonl")
	l, err := audit.Open(audit.Config{Path: path})
	must(b, err)
	for range 20_000 {
		must(b, l.Append(sample))
	}
	must(b, l.Close())
	b.SetBytes(int64(len(read(b, path))))
	for b.Loop() {
		l, err := audit.Open(audit.Config{Path: path})
		must(b, err)
		must(b, l.Close())
	}
}
