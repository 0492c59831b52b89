package proc_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// soakStarts is how many children a soak starts, without SALLYPORT_SOAK_STARTS.
const soakStarts = 30

// TestSoakStartsAndKills starts children of all kinds and ends them at random
// moments, most of them while they start: by Stop, by the end of the start's
// context, and by the death of any process of theirs. Afterwards the host holds
// what it held before.
func TestSoakStartsAndKills(t *testing.T) {
	starts := soakStarts
	if v := os.Getenv("SALLYPORT_SOAK_STARTS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		starts = n
	}
	isolated, bare := isolating(t), newStarter(t)
	word := "soak-" + random()
	dir := openTempDir(t)
	before := holdings(t)
	began := time.Now()
	var running sync.WaitGroup
	turns := make(chan int, starts)
	for n := range starts {
		turns <- n
	}
	close(turns)
	for range 4 {
		running.Go(func() {
			for n := range turns {
				starter := isolated
				if n%5 == 0 {
					starter = bare
				}
				soak(t, starter, dir, word, n)
			}
		})
	}
	running.Wait()
	if left := withArgument(word); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
	settle(t, before)
	t.Logf("%d starts in %v", starts, time.Since(began).Round(time.Second))
}

// soak starts one child and ends it.
func soak(t *testing.T, s *proc.Starter, dir, word string, n int) {
	own, err := os.MkdirTemp(dir, "")
	if err != nil {
		t.Error(err)
		return
	}
	spec := proc.Spec{
		Name: fmt.Sprintf("soak %d", n), Path: "/bin/sh", Args: []string{"-c", "sh -c 'sleep 1000; :' $0 & sleep 1000 & wait", word},
		Env: map[string]string{"PATH": "/usr/bin:/bin"}, Dir: own, Views: []proc.View{{Source: own, Target: "/work"}},
		Grace: time.Duration(1+rand.IntN(20)) * time.Millisecond,
	}
	if s.Isolated() {
		spec.User = s.User(int(sessions.Add(1)))
		spec.Args[1] = "setsid sh -c 'sleep 1000; :' $0 & (setsid sh -c 'trap \"\" TERM; sleep 1000; :' $0 &) \n" + spec.Args[1]
	}
	if rand.IntN(3) == 0 {
		spec.Listen = []proc.Listen{{Address: "127.0.0.1:3128", Serve: func(l net.Listener) {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}}}
	}
	if rand.IntN(2) == 0 {
		spec.Limits = proc.Limits{Memory: 256 << 20, CPUShare: 1, Processes: 64, OpenFiles: 256}
		spec.Quotas = []proc.Quota{{Name: "the zone", Bytes: 1 << 20, Used: func() (int64, int, error) { return proc.Measure(own) }}}
	}
	// A start takes some ten milliseconds: most ends are in its midst.
	moment := make(chan struct{})
	time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { close(moment) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	how := rand.IntN(4)
	if how == 0 {
		spec.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		go func() { <-moment; cancel() }()
	}
	if how == 1 {
		// Any process of anybody's, in the middle of its own start too.
		done := make(chan struct{})
		defer close(done)
		go func() {
			select {
			case <-moment:
			case <-done:
			}
			if members := withArgument(word); len(members) > 0 {
				syscall.Kill(members[rand.IntN(len(members))], syscall.SIGKILL)
			}
		}()
	}
	p, err := s.Start(ctx, spec)
	if err != nil {
		return // killed in the midst of it
	}
	switch how {
	case 0:
		t.Error("a child that never gets ready has started")
	case 2:
		now, cancel := context.WithCancel(context.Background())
		cancel()
		<-moment
		err = p.Stop(now)
	default:
		<-moment
		err = p.Stop(context.Background())
	}
	if err != nil {
		t.Error(err)
	}
	select {
	case <-p.Done():
	default:
		t.Errorf("%s is stopped, and has not ended", spec.Name)
	}
}

// BenchmarkIsolatedStart interleaves an isolated start of /bin/true with a bare
// one, from Start to the end, and gives the difference of their medians.
func BenchmarkIsolatedStart(b *testing.B) {
	bare, err := proc.New(proc.Config{Isolation: proc.IsolationOff})
	if err != nil {
		b.Fatal(err)
	}
	isolated := isolating(b)
	dir := openTempDir(b)
	spec := proc.Spec{Path: "/bin/true", Dir: dir, Views: []proc.View{{Source: dir, Target: "/work"}}}
	run := func(s *proc.Starter, u proc.User, to *durations) {
		began := time.Now()
		spec := spec
		spec.User = u
		p, err := s.Start(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
		*to = append(*to, time.Since(began))
	}
	var warm, with, without durations
	for range 5 {
		run(isolated, isolated.User(0), &warm)
		run(bare, proc.User{}, &warm)
	}
	for b.Loop() {
		run(isolated, isolated.User(0), &with)
		run(bare, proc.User{}, &without)
	}
	extra := float64((with.median() - without.median()).Microseconds()) / 1000
	b.ReportMetric(extra, "extra-ms")
	fmt.Printf("FIGURE proc/isolated-start-extra-ms %.3f\n", extra)
}

type durations []time.Duration

func (d durations) median() time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
