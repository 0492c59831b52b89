package proc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// How often a watcher looks, at most, and how far a child may be over what only
// a watcher bounds before it is ended.
const (
	watchInterval = 250 * time.Millisecond // for memory and processes
	quotaInterval = 500 * time.Millisecond // for a quota
	watchShare    = 10                     // a watcher rests ten times as long as it looked

	spareThreads = 64       // or an eighth of the bound, if that is more
	spareBytes   = 64 << 20 // likewise
	spareFiles   = 1000     // likewise
	maxShmFiles  = 100_000  // in memory, where each takes about a kilobyte that nothing else counts
)

// watched is a child that a watcher keeps within what nothing else bounds.
//
// A watcher looks now and then, so a child can be over in between. Of memory it
// gets what it can touch in watchInterval. Of a quota it gets what the disk
// takes in one interval (of half a second, or ten times what a measurement
// takes when that is more) and while a measurement runs. A child that only
// uses files as usual can't write from then on; one that evades that (see
// curb) is killed when it is over by more than an eighth, 64 MiB or 1000 files,
// whichever is most, so it gets that, and once more what the disk takes until
// it is seen.
//
// As an ordinary user the host doesn't see into a process that hides itself
// (PR_SET_DUMPABLE): deleted files that only such a process has open are
// bounded by Limits.FileSize and Limits.OpenFiles alone. So is, for any host,
// a deleted file that is only mapped, or waits in a socket.
type watched struct {
	spec  Spec
	group *group              // nil bounds nothing
	tree  func() []int        // the child and all it started, by their numbers on the host; called by two goroutines
	shm   string              // the child's file system in memory; "" is none
	kill  func(reason string) // called once at most; it doesn't wait for run
	log   hclog.Logger
}

// quotaDetail says in words for an operator how far quotas hold.
func quotaDetail() string {
	return fmt.Sprintf("kept by a watcher, which looks every %v, less often where that takes long: over a quota, writes to files fail until there is room again, "+
		"and a child that is over by more than an eighth, %s or %d files, is ended; until it is seen it gets what the disk takes", quotaInterval, size(spareBytes), spareFiles)
}

// run watches until ctx ends, or it has killed the child, and returns when a
// measurement that is under way is through.
func (w *watched) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	end := func(reason string) {
		once.Do(func() { w.kill(reason) })
		cancel()
	}
	var quotas sync.WaitGroup
	quotas.Go(func() { w.watchQuotas(ctx, end) })
	w.watchBounds(ctx, end)
	quotas.Wait()
}

// watchBounds watches what control groups bound where they can be had.
func (w *watched) watchBounds(ctx context.Context, end func(string)) {
	memory := w.spec.Limits.Memory > 0 && !w.group.holds(controlMemory)
	threads := w.spec.Limits.Processes > 0 && !w.group.holds(controlPids)
	for memory || threads || w.shm != "" {
		began := time.Now()
		if reason := w.over(memory, threads); reason != "" && ctx.Err() == nil {
			end(reason)
		}
		if !rest(ctx, max(watchInterval, watchShare*time.Since(began))) {
			return
		}
	}
}

// over says what the child is over, of its memory and its processes; "" if of
// nothing.
func (w *watched) over(memory, threads bool) string {
	shm, shmFiles, device := filesIn(w.shm)
	if shmFiles > maxShmFiles {
		return fmt.Sprintf("over %d files in memory", maxShmFiles)
	}
	if !memory && !threads {
		return ""
	}
	l := w.spec.Limits
	pids := w.tree()
	used, n := roughly(pids)
	if threads && n > l.Processes+max(spareThreads, l.Processes/8) {
		return "far over its bound of " + strconv.Itoa(l.Processes) + " processes and threads"
	}
	if !memory {
		return ""
	}
	hidden, _ := nameless(pids, device)
	if used+shm+hidden <= l.Memory {
		return ""
	}
	// What is mapped of a file in memory is in shared too, and can't be told
	// from other shared memory: count the greater.
	private, shared := closely(pids)
	if private+max(shared, shm+hidden) > l.Memory {
		return overMemory(l.Memory)
	}
	return ""
}

func overMemory(bound int64) string { return "over its memory of " + size(bound) }

// size puts bytes into words.
func size(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.bytes {
			return strconv.FormatFloat(float64(n*10/unit.bytes)/10, 'f', -1, 64) + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// A filling is what is known of one quota.
type filling struct {
	Quota
	bytes  int64
	files  int
	due    time.Time // of the next measurement
	failed bool      // the last one did
	known  bool      // it was measured
	// What it was at first. A child that starts with more than it may have can't
	// write, but it can delete: it isn't ended for what it found.
	firstBytes int64
	firstFiles int
}

// measure says why the child must end, "" if it needn't. A measurement that
// fails leaves what was known.
func (f *filling) measure(log hclog.Logger) string {
	began := time.Now()
	bytes, files, err := f.Used()
	f.due = time.Now().Add(max(quotaInterval, watchShare*time.Since(began)))
	switch {
	case errors.Is(err, ErrUnmeasurable):
		log.Warn("a child holds what can't be measured", "quota", f.Name, "error", err)
		return "what it holds in " + f.Name + " can't be measured"
	case err != nil:
		if !f.failed {
			log.Warn("what a child holds could not be measured", "quota", f.Name, "error", err)
		}
		f.failed = true
		return ""
	}
	f.bytes, f.files, f.failed = bytes, files, false
	if !f.known {
		f.known, f.firstBytes, f.firstFiles = true, bytes, files
	}
	return ""
}

// state says whether there is more than the quota allows, and why the child
// must end, when it is far over. hidden are bytes that no folder shows.
func (f *filling) state(hidden int64) (over bool, reason string) {
	bytes := f.bytes + hidden
	switch {
	case f.Bytes > 0 && bytes > max(f.Bytes+max(spareBytes, f.Bytes/8), f.firstBytes):
		return true, "over its quota of " + size(f.Bytes) + " in " + f.Name
	case f.Files > 0 && f.files > max(f.Files+max(spareFiles, f.Files/8), f.firstFiles):
		return true, "over its quota of " + strconv.Itoa(f.Files) + " files in " + f.Name
	}
	return f.Bytes > 0 && bytes > f.Bytes || f.Files > 0 && f.files > f.Files, ""
}

// watchQuotas measures what the child may fill. It doesn't know on whose disk a
// nameless file is, so that one counts in every quota.
func (w *watched) watchQuotas(ctx context.Context, end func(string)) {
	var fillings []*filling
	for _, q := range w.spec.Quotas {
		fillings = append(fillings, &filling{Quota: q})
	}
	var curbed curb
	for len(fillings) > 0 {
		began := time.Now()
		pids := w.tree()
		_, _, device := filesIn(w.shm)
		_, hidden := nameless(pids, device)
		looked := time.Since(began)
		full := false
		for _, f := range fillings {
			reason := ""
			if !time.Now().Before(f.due) {
				reason = f.measure(w.log)
			}
			over, far := f.state(hidden)
			full = full || over
			if reason == "" {
				reason = far
			}
			if reason != "" && ctx.Err() == nil {
				end(reason)
			}
			if ctx.Err() != nil {
				return
			}
		}
		if full || curbed != nil {
			err := asUser(w.spec.User, func() error {
				curbed.set(full, pids, w.spec.Limits.FileSize)
				return nil
			})
			if err != nil {
				w.log.Error("a child that is over its quota can't be kept from writing", "child", w.spec.Name, "error", err)
			}
		}
		// Between measurements too: there may be new processes to curb.
		next := slices.MinFunc(fillings, func(a, b *filling) int { return a.due.Compare(b.due) }).due
		if !rest(ctx, max(watchShare*looked, min(time.Until(next), quotaInterval))) {
			return
		}
	}
}

// A curb keeps processes from writing to files: their soft RLIMIT_FSIZE is 0,
// which what they start inherits. A write then fails with EFBIG in a program
// that ignores SIGXFSZ, as Python does; others are killed by that signal: the
// shell and what it runs, and what Python runs, which gets the signal back.
//
// It doesn't hold back one who means ill: a process may raise a soft limit by
// itself, and blocks can be had without a write, by a mapped file with holes,
// by fallocate beyond the end, and by files and folders that are empty.
type curb map[int]uint64 // the limits of processes before

// set curbs processes, or lets go of those that are curbed. fileSize is their
// limit otherwise; zero is none.
func (c *curb) set(on bool, pids []int, fileSize int64) {
	if !on && *c == nil {
		return
	}
	if *c == nil {
		*c = curb{}
	}
	usual := uint64(unix.RLIM_INFINITY)
	if fileSize > 0 {
		usual = uint64(fileSize)
	}
	left := curb{}
	for _, pid := range pids {
		var is unix.Rlimit
		if unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &is) != nil {
			continue // it has ended, or is another's
		}
		before, known := (*c)[pid]
		switch {
		case on && is.Cur > 0:
			before, known = is.Cur, true
			is.Cur = 0
		case !on && is.Cur == 0 && known:
			is.Cur = min(before, is.Max)
		case !on && is.Cur == 0: // inherited
			is.Cur = min(usual, is.Max)
		default:
			if known {
				left[pid] = before
			}
			continue
		}
		unix.Prlimit(pid, unix.RLIMIT_FSIZE, &is, nil) // likewise
		if known {
			left[pid] = before
		}
	}
	*c = left
}

// rest waits, and says whether ctx is still there.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
