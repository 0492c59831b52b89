package hosttest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
	"github.com/sallyport-dev/sallyport/host/session"
)

// TestSoakEngine has 64 callers make SALLYPORT_SOAK_CALLS calls (make soak),
// else a few, of 20 plugins that trap, spin, hang and eat, while calls are
// cancelled, sessions end, and plugins are revoked, granted again and replaced.
// Every call has to be answered, with a result that is right or an error that
// it may end with. Afterwards nothing may be left: no goroutine, mapping or
// descriptor, and, after many calls, no more memory than after the first tenth.
func TestSoakEngine(t *testing.T) {
	total := 2000
	if v := os.Getenv("SALLYPORT_SOAK_CALLS"); v != "" {
		var err error
		if total, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	s := &soak{t: t, subjects: map[string][]*subject{}}
	for kind, k := range kinds {
		for i := range k.count {
			s.subjects[kind] = append(s.subjects[kind], newSubject(t, fmt.Sprintf("%s%d", kind, i), k))
		}
	}
	s.start()
	s.run(200) // what is opened once, and kept, is there before it is counted
	s.stage.Close()
	before := held(t, holding{})
	s.start()
	start := time.Now()
	s.run(total / 10)
	early := held(t, holding{})
	s.run(total - total/10)
	late := held(t, early)
	t.Logf("%d calls, %.0f a second, came to %v", total, float64(total)/time.Since(start).Seconds(), s.outcomes)
	t.Logf("held before the host %v, after a tenth of the calls %v, after all %v", before, early, late)
	if total >= 100_000 && late.memory > early.memory+early.memory/10 {
		t.Errorf("%d kB are resident after all calls, %d kB were after a tenth of them", late.memory, early.memory)
	}
	if late.goroutines > early.goroutines || late.descriptors > early.descriptors {
		t.Errorf("after all calls %v is held, after a tenth of them %v\n%s\n%s", late, early, opened(), stacks())
	}
	s.stage.Close()
	after := held(t, before)
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors || after.mappings > before.mappings+otherMappings {
		t.Errorf("after the host's end %v is held, before it %v\n%s\n%s", after, before, opened(), stacks())
	}
}

// otherMappings is how many mappings come with more memory of the process's
// own: its heap's, its threads'.
const otherMappings = 100

// A kind is several plugins of the same code, under names of their own.
type kind struct {
	folder string
	count  int
	state  string
	limits abi.Limits
}

var kinds = map[string]kind{
	"echo":   {folder: "testdata/plugins/echo", count: 5},
	"busy":   {folder: "testdata/plugins/hello", count: 2, limits: abi.Limits{Concurrent: 1, Queue: 1}},
	"files":  {folder: "testdata/plugins/rawfiles", count: 3},
	"bad":    {folder: "testdata/plugins/badboy", count: 4, limits: abi.Limits{MemoryMiB: 32, StackKiB: 512}},
	"late":   {folder: "testdata/plugins/badboy", count: 2, limits: abi.Limits{Deadline: abi.Duration(20 * time.Millisecond)}},
	"keeper": {folder: "testdata/plugins/badboy", count: 4, state: abi.StateSession},
}

// A deed is a call and what it may come to.
type deed struct {
	kind, tool string
	args       string // a JSON object; % stands for what is different in every call
	cancel     bool   // at a moment that nobody chose
	deadline   bool   // its own, and short
	codes      []abi.Code
	result     string // %, again, is of the call; "*" is anything
}

// long makes a request larger than what a plugin has room for in its snapshot,
// and not so large that its memory has to grow.
var long = strings.Repeat("long", 16<<10)

var failed = []abi.Code{abi.CodePluginFailed}

var deeds = []deed{
	{kind: "echo", tool: "call", args: `{"a":"%"}`, result: `{"a":"%"}`},
	{kind: "echo", tool: "call", args: `{"a":["%",{"b":1}]}`, result: `{"a":["%",{"b":1}]}`},
	{kind: "echo", tool: "call", args: `{"c":"%"}`, result: `{"c":"%"}`, cancel: true},
	{kind: "busy", tool: "greet", args: `{"name":"%"}`, result: "Hello, %!"},
	{kind: "files", tool: "try", args: `{"do":"exclusive","path":"/tmp/a","data":"%"}`, result: `{"ok":true}`},
	{kind: "files", tool: "try", args: `{"do":"exclusive","path":"/tmp/a","data":"` + long + `%"}`, result: `{"ok":true}`},
	{kind: "files", tool: "try", args: `{"do":"create","path":"/output/a","data":"%"}`, result: `{"ok":true}`},
	{kind: "bad", tool: "remember", result: "1"},
	{kind: "bad", tool: "eat", args: `{"mib":4}`, result: "ate 4 MiB"},
	{kind: "bad", tool: "trap", codes: failed},
	{kind: "bad", tool: "exit", codes: failed},
	{kind: "bad", tool: "panicking", codes: failed},
	{kind: "bad", tool: "hang", codes: failed, cancel: true},
	{kind: "bad", tool: "eat", codes: failed},
	{kind: "bad", tool: "recurse", codes: []abi.Code{abi.CodePluginFailed, abi.CodeResourceExhausted}},
	{kind: "bad", tool: "loop", cancel: true},
	{kind: "bad", tool: "sleep", cancel: true},
	{kind: "bad", tool: "loop", deadline: true},
	{kind: "bad", tool: "sleep", deadline: true},
	{kind: "late", tool: "loop", codes: []abi.Code{abi.CodeDeadlineExceeded}},
	{kind: "late", tool: "sleep", codes: []abi.Code{abi.CodeDeadlineExceeded}},
	{kind: "keeper", tool: "remember", result: "*"},
	{kind: "keeper", tool: "remember", result: "*", cancel: true},
	{kind: "keeper", tool: "trap", codes: failed},
}

// disturbed are the codes that any call may end with while plugins are revoked
// and sessions end.
var disturbed = []abi.Code{abi.CodePermissionDenied, abi.CodeCanceled, abi.CodeNotFound}

// A subject is one of the plugins, in two versions that differ in their digest.
type subject struct {
	name     string
	versions [2][]byte
	entries  [2]policy.Entry

	version int // the one that is installed
	revoked bool
}

func newSubject(t *testing.T, name string, k kind) *subject {
	t.Helper()
	built, err := plugin.Read(hosttest.Plugin(t, k.folder))
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{name: name}
	for v := range s.versions {
		m := built.Manifest
		m.Name, m.Version, m.State, m.Limits = name, fmt.Sprintf("%d.0.0", v+1), k.state, k.limits
		if s.versions[v], err = plugin.Pack(built.Wasm, m, built.Files); err != nil {
			t.Fatal(err)
		}
		s.entries[v] = policy.Entry{Name: name, Digest: plugin.Digest(s.versions[v]), Grant: m.Capabilities}
	}
	return s
}

// A soak is a host that is used and hurt.
type soak struct {
	t        *testing.T
	stage    *hosttest.Stage
	subjects map[string][]*subject // by kind
	seats    [32]seat

	mu       sync.Mutex
	outcomes map[string]int
}

// A seat is a session, and another one when that was ended. Callers share it.
type seat struct {
	mu      sync.Mutex
	session *session.Session
}

func (s *seat) get() *session.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session
}

// start starts a host with every plugin and a session for each seat.
func (s *soak) start() {
	s.stage = hosttest.NewStage(s.t, hosttest.Options{Plugins: []string{}, Config: func(c *host.Config) {
		c.Logger = hclog.NewNullLogger() // every trap is a line
		c.MaxSessions = 4 * len(s.seats) // an owner gets half, and two are there while one ends
	}})
	for _, p := range s.all() {
		p.revoked = false
		s.install(p)
	}
	s.writePolicy()
	for i := range s.seats {
		s.seats[i].session = s.newSession()
	}
}

func (s *soak) all() []*subject { return slices.Concat(slices.Collect(maps.Values(s.subjects))...) }

func (s *soak) newSession() *session.Session {
	sess, err := s.stage.Host.Sessions().Create("soak")
	if err != nil {
		s.t.Error(err)
	}
	return sess
}

// install puts a plugin's present version in the place of the other.
func (s *soak) install(p *subject) {
	file := filepath.Join(s.stage.PluginDir, p.name+".wasm")
	err := os.WriteFile(file+".new", p.versions[p.version], 0o644)
	if err = errors.Join(err, os.Rename(file+".new", file)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) writePolicy() {
	pol := &policy.Policy{Version: policy.Version}
	for _, p := range s.all() {
		if !p.revoked {
			pol.Allow(p.entries[p.version])
		}
	}
	s.stage.WritePolicy(pol)
}

// run has the callers make n calls, and is the operator meanwhile.
func (s *soak) run(n int) {
	var next atomic.Int64
	var callers sync.WaitGroup
	turns := make(chan struct{}, n)
	for c := range 64 {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), uint64(c)))
			for !s.t.Failed() {
				i := int(next.Add(1))
				if i > n {
					return
				}
				seat := &s.seats[c/2]
				if i%500 == 0 {
					s.endSession(seat)
				}
				s.call(r, seat.get(), deeds[i%len(deeds)], fmt.Sprintf("c%d-%d", n, i))
				if i%100 == 0 {
					turns <- struct{}{}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		callers.Wait()
		close(done)
	}()
	r := rand.New(rand.NewPCG(uint64(n), 1<<32))
	for {
		select {
		case <-turns:
			s.operate(r)
		case <-done:
			return
		case <-time.After(2 * time.Minute):
			s.t.Fatalf("no call was answered for two minutes\n%s", stacks())
		}
	}
}

// operate takes a grant away and gives an earlier one back, or replaces a file
// by another version that is approved.
func (s *soak) operate(r *rand.Rand) {
	all := s.all()
	p := all[r.IntN(len(all))]
	if p.revoked || r.IntN(2) == 0 {
		p.revoked = !p.revoked
		s.writePolicy()
		return
	}
	p.version = 1 - p.version
	s.install(p)
	s.writePolicy()
}

func (s *soak) endSession(seat *seat) {
	fresh := s.newSession()
	if fresh == nil {
		return
	}
	seat.mu.Lock()
	old := seat.session
	seat.session = fresh
	seat.mu.Unlock()
	if err := s.stage.Host.Sessions().End(s.t.Context(), old.ID); err != nil {
		s.t.Errorf("ending a session: %v", err)
	}
}

// call makes one call and judges its answer.
func (s *soak) call(r *rand.Rand, sess *session.Session, d deed, nonce string) {
	fill := func(text string) string { return strings.ReplaceAll(text, "%", nonce) }
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	codes := slices.Concat(disturbed, d.codes)
	switch soon := time.Duration(r.IntN(5000)) * time.Microsecond; {
	case d.cancel:
		defer time.AfterFunc(soon, cancel).Stop()
	case d.deadline:
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, soon)
		defer stop()
		codes = append(codes, abi.CodeDeadlineExceeded)
	}
	plugins := s.subjects[d.kind]
	result, err := s.stage.Host.Call(ctx, host.ToolCall{
		Session: sess, Tool: plugins[r.IntN(len(plugins))].name + "_" + d.tool,
		Arguments: json.RawMessage(cmp.Or(fill(d.args), "{}")), Principal: "soak",
	})
	s.count(err)
	if err != nil {
		e := abi.AsError(err)
		if !slices.Contains(codes, e.Code) && !(e.Code == abi.CodeResourceExhausted && e.Retryable) {
			s.t.Errorf("%s of %s ended with %v: %v", d.tool, d.kind, err, errors.Unwrap(err))
		}
		return
	}
	if d.result == "" {
		s.t.Errorf("%s of %s ended with a result: %.200v", d.tool, d.kind, *result)
		return
	}
	got := string(result.StructuredContent)
	if got == "" && len(result.Content) == 1 {
		got = result.Content[0].Text
	}
	if d.result != "*" && got != fill(d.result) {
		s.t.Errorf("%s of %s came to %.200q, not %.200q", d.tool, d.kind, got, fill(d.result))
	}
}

func (s *soak) count(err error) {
	outcome := "result"
	if err != nil {
		outcome = abi.CodeOf(err).String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcomes == nil {
		s.outcomes = map[string]int{}
	}
	s.outcomes[outcome]++
}

// A holding is what the process holds of the system.
type holding struct {
	goroutines, descriptors, mappings int
	memory                            int // kB that are resident
}

func (h holding) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d mappings, %d kB", h.goroutines, h.descriptors, h.mappings, h.memory)
}

// held waits, a while, until there is no more than goal, and returns what there
// is; without a goal, until nothing changes.
func held(t *testing.T, goal holding) holding {
	t.Helper()
	if goal == (holding{}) {
		goal = holding{goroutines: 1 << 30, descriptors: 1 << 30, mappings: 1 << 30}
	}
	var now, last holding
	same := 0
	for range 300 { // half a minute at most
		debug.FreeOSMemory() // a collection, which frees what finalizers do as well
		now = holding{goroutines: runtime.NumGoroutine()}
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		now.descriptors = len(fds)
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		now.mappings = bytes.Count(maps, []byte("\n"))
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rss, _ := strings.Cut(string(status), "VmRSS:")
		if _, err := fmt.Sscan(rss, &now.memory); err != nil {
			t.Fatal(err)
		}
		if now.goroutines == last.goroutines && now.descriptors == last.descriptors {
			same++
		} else {
			same = 0
		}
		if same >= 5 && now.goroutines <= goal.goroutines && now.descriptors <= goal.descriptors && now.mappings <= goal.mappings+otherMappings {
			break
		}
		last = now
		time.Sleep(100 * time.Millisecond)
	}
	return now
}

// opened tells what the descriptors are.
func opened() string {
	var b strings.Builder
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		to, _ := os.Readlink(fd)
		fmt.Fprintln(&b, fd, to)
	}
	return b.String()
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}
