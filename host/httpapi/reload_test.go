package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// putVersion puts a version of a plugin into the plugin directory, beside the
// others, and returns the entry that allows it. Nothing but its manifest and
// edition.txt tells it from another.
func putVersion(s *hosttest.Stage, dir, version string) policy.Entry {
	s.T.Helper()
	b, err := os.ReadFile(hosttest.Plugin(s.T, dir))
	if err != nil {
		s.T.Fatal(err)
	}
	a, err := plugin.Parse(b)
	if err != nil {
		s.T.Fatal(err)
	}
	a.Manifest.Version = version
	wasm, err := plugin.Pack(b, a.Manifest, fstest.MapFS{"edition.txt": {Data: []byte(version)}})
	if err != nil {
		s.T.Fatal(err)
	}
	file := filepath.Join(s.PluginDir, fmt.Sprintf("%s-%s.wasm", a.Manifest.Name, version))
	if err := os.WriteFile(file+".new", wasm, 0o644); err != nil {
		s.T.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.T.Fatal(err)
	}
	return policy.Entry{Name: a.Manifest.Name, Digest: plugin.Digest(wasm), Grant: a.Manifest.Capabilities}
}

// allow makes the policy one of these entries.
func allow(s *hosttest.Stage, entries ...policy.Entry) {
	s.T.Helper()
	s.WritePolicy(&policy.Policy{Version: 1, Plugins: entries})
}

// plugins returns what the host says of a plugin's versions, by state.
func plugins(s *hosttest.Stage, name string) map[string][]host.PluginStatus {
	s.T.Helper()
	var list struct{ Plugins []host.PluginStatus }
	s.Operator.JSON(http.MethodGet, "/v1/plugins", "", &list)
	states := map[string][]host.PluginStatus{}
	for _, p := range list.Plugins {
		if p.Name == name {
			states[p.State] = append(states[p.State], p)
		}
	}
	return states
}

// eventually polls until what is to happen has.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it didn't happen: %s", what)
		}
	}
}

// underWay makes a call and returns once it is under way; its answer comes
// through the channel.
func underWay(s *hosttest.Stage, session, tool string, a args) <-chan hosttest.Answer {
	s.T.Helper()
	name, _ := abi.SplitName(tool)
	running := func() (n int) {
		for _, state := range plugins(s, name) {
			for _, p := range state {
				n += p.Running + p.Waiting
			}
		}
		return n
	}
	before := running()
	answer := make(chan hosttest.Answer, 1)
	go func() { answer <- s.Agent.Try(session, tool, a) }()
	eventually(s.T.(*testing.T), tool+" is under way", func() bool { return running() > before })
	return answer
}

// letGo makes calls of edition_wait in a session end.
func letGo(s *hosttest.Stage, session string) {
	s.T.Helper()
	s.Agent.JSON(http.MethodPut, "/v1/sessions/"+session+"/files/output/go", "", nil)
}

func resultText(t *testing.T, a hosttest.Answer) string {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Errorf("the call was answered with %d %s", a.StatusCode, a.Body)
		return ""
	}
	var r abi.Result
	if err := json.Unmarshal(a.Body, &r); err != nil {
		t.Errorf("%v: %s", err, a.Body)
	}
	return text(r)
}

const edition = "testdata/plugins/edition"

// TestANewVersionTakesOverWithoutLosingACall has many callers while one version
// takes the place of another, again and again. Each call is answered, wholly by
// one version: the one that was approved when it began, or one that came
// meanwhile.
func TestANewVersionTakesOverWithoutLosingACall(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	const versions, swaps = 3, 8
	version := func(n int64) string { return strconv.FormatInt(n%versions, 10) }
	allow(s, putVersion(s, edition, version(0)))
	var approved, coming, calls atomic.Int64 // how many versions were, and how many answers
	done := make(chan struct{})
	var wg sync.WaitGroup
	for caller := range 8 {
		session := s.Agent.Session()
		wg.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-done:
					return
				default:
				}
				least := approved.Load()
				got := resultText(t, s.Agent.Try(session, "edition_tell", args{"ms": (caller*7 + turn*13) % 60}))
				most := coming.Load()
				answered := false
				for n := least; n <= most; n++ {
					answered = answered || got == version(n)+" "+version(n)
				}
				if !answered {
					t.Errorf("between %d and %d, the answer was %q", least, most, got)
					return
				}
				calls.Add(1)
			}
		})
	}
	more := func(n int64) func() bool {
		until := calls.Load() + n
		return func() bool { return calls.Load() >= until || t.Failed() }
	}
	for n := int64(1); n <= swaps; n++ {
		eventually(t, "calls are answered", more(20))
		entry := putVersion(s, edition, version(n))
		coming.Store(n)
		allow(s, entry)
		approved.Store(n)
		if err := os.Remove(filepath.Join(s.PluginDir, "edition-"+version(n-1)+".wasm")); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the last version answers", more(20))
	close(done)
	wg.Wait()
	eventually(t, "what was replaced is gone", func() bool { return len(plugins(s, "edition")[host.PluginDraining]) == 0 })
}

func TestACallUnderWayEndsInTheVersionThatItBeganIn(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	first := putVersion(s, edition, "1")
	allow(s, first)
	session := s.Agent.Session()
	waiting := underWay(s, session, "edition_wait", args{})
	allow(s, putVersion(s, edition, "2"))
	if got := text(s.Agent.Call(session, "edition_tell", args{})); got != "2 2" {
		t.Errorf("the new version isn't there: %q", got)
	}
	draining := plugins(s, "edition")[host.PluginDraining]
	if len(draining) != 1 || draining[0].Version != "1" || draining[0].Running != 1 || draining[0].Digest != first.Digest {
		t.Errorf("what drains is %+v", draining)
	}
	letGo(s, session)
	if got := resultText(t, <-waiting); got != "1" {
		t.Errorf("the call ended in %q", got)
	}
	eventually(t, "the old version is gone", func() bool { return len(plugins(s, "edition")[host.PluginDraining]) == 0 })
	entries, err := s.Host.AuditLog(audit.Filter{Plugin: "edition"})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		if strings.HasPrefix(e.Kind, "plugin.") && e.Code == "" {
			kinds = append(kinds, e.Kind)
		}
	}
	if want := []string{"plugin.admit", "plugin.admit", "plugin.replace"}; !slices.Equal(kinds, want) {
		t.Errorf("the audit log has %q, want %q", kinds, want)
	}
}

// TestWhatIsTakenAwayEndsCallsUnderWay changes the policy, or the file, while a
// call runs: in mid-call, and once more when the plugin drains already.
func TestWhatIsTakenAwayEndsCallsUnderWay(t *testing.T) {
	narrowed := func(e policy.Entry) policy.Entry {
		e.Grant.Files = nil
		return e
	}
	for _, c := range []struct {
		name   string
		change func(s *hosttest.Stage, first, second policy.Entry)
	}{
		{"revoked", func(s *hosttest.Stage, _, _ policy.Entry) { allow(s) }},
		{"granted less", func(s *hosttest.Stage, first, _ policy.Entry) { allow(s, narrowed(first)) }},
		{"replaced by one that is granted less", func(s *hosttest.Stage, _, second policy.Entry) { allow(s, narrowed(second)) }},
		{"replaced by a file that isn't approved", func(s *hosttest.Stage, _, _ policy.Entry) {
			for _, name := range []string{"edition-1.wasm", "edition-2.wasm"} {
				file := filepath.Join(s.PluginDir, name)
				b, err := os.ReadFile(file)
				if err == nil {
					err = os.WriteFile(file, append(b, 0, 2, 1, 'x'), 0o644) // an empty custom section
				}
				if err != nil {
					s.T.Fatal(err)
				}
			}
		}},
	} {
		for _, draining := range []bool{false, true} {
			name := c.name
			if draining {
				name += ", while it drains"
			}
			t.Run(name, func(t *testing.T) {
				s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
				first, second := putVersion(s, edition, "1"), putVersion(s, edition, "2")
				allow(s, first)
				session := s.Agent.Session()
				waiting := underWay(s, session, "edition_wait", args{})
				if draining {
					allow(s, second)
					eventually(t, "it drains", func() bool { return len(plugins(s, "edition")[host.PluginDraining]) == 1 })
				}
				c.change(s, first, second)
				select {
				case a := <-waiting:
					wants(t, a, http.StatusForbidden, abi.CodePermissionDenied, "revoked")
				case <-time.After(10 * time.Second):
					t.Error("the call goes on")
				}
			})
		}
	}
}

// TestMoreGrantsAndOtherLimitsEndNothing changes an entry without taking
// anything away.
func TestMoreGrantsAndOtherLimitsEndNothing(t *testing.T) {
	for name, change := range map[string]func(*policy.Entry){
		"a setting":      func(e *policy.Entry) { e.Config = map[string]string{"a": "b"} },
		"a lower limit":  func(e *policy.Entry) { e.Limits.Deadline = abi.Duration(time.Second) },
		"a higher limit": func(e *policy.Entry) { e.Limits.MemoryMiB = 1024 },
		"a grant":        func(e *policy.Entry) { e.Grant.Files = &abi.FilesScope{Output: abi.AccessWrite} },
	} {
		t.Run(name, func(t *testing.T) {
			s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
			entry := putVersion(s, edition, "1")
			allow(s, entry)
			session := s.Agent.Session()
			waiting := underWay(s, session, "edition_wait", args{})
			change(&entry)
			allow(s, entry)
			s.Agent.Call(session, "edition_tell", args{})
			letGo(s, session)
			if got := resultText(t, <-waiting); got != "1" {
				t.Errorf("the call ended in %q", got)
			}
		})
	}
}

func TestAKernelOutlivesAChangeOfLimits(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	entry := putVersion(s, "plugins/python", "1")
	allow(s, entry)
	session := s.Agent.Session()
	run(s, session, "kept = 42")
	entry.Limits.Concurrent, entry.Config = 3, map[string]string{"a": "b"}
	allow(s, entry)
	eventually(t, "the new limits hold", func() bool {
		loaded := plugins(s, "python")[host.PluginLoaded]
		return len(loaded) == 1 && loaded[0].Limits.Concurrent == 3
	})
	if got := text(run(s, session, "print(kept)")); !strings.Contains(got, "42") {
		t.Errorf("the variable is gone: %q", got)
	}
}

// TestAKernelServesTheCallsOfItsVersion has the code of a call run on while
// another version's kernel, a fresh one, serves the next.
func TestAKernelServesTheCallsOfItsVersion(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	allow(s, putVersion(s, "plugins/python", "1"))
	session := s.Agent.Session()
	run(s, session, "x = 'the first'")
	old := kernelPID(s, session)
	waiting := underWay(s, session, "python_run", args{"code": "import os, time\nwhile not os.path.exists('output/go'): time.sleep(0.01)\nprint(x)"})
	allow(s, putVersion(s, "plugins/python", "2"))
	if got := text(run(s, session, "print('x' in globals())")); !strings.Contains(got, "False") || !strings.Contains(got, "its grant was changed") {
		t.Errorf("the new version's kernel says %q", got)
	}
	letGo(s, session)
	if got := resultText(t, <-waiting); !strings.Contains(got, "the first") {
		t.Errorf("the call under way ended with %q", got)
	}
	waitGone(t, old)
	if got := text(run(s, session, "print(1 + 1)")); strings.Contains(got, "changed") {
		t.Errorf("it is told twice: %q", got)
	}
}
