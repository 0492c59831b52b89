package httpapi_test

import (
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/hosttest"
)

// TestSoak makes sessions, runs code in them that ends well, raises, dies and
// is abandoned, and ends them: for SALLYPORT_SOAK (make soak), else for two
// rounds. Afterwards no kernel, goroutine or descriptor may be left.
func TestSoak(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	var until time.Time
	if v := os.Getenv("SALLYPORT_SOAK"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		until = time.Now().Add(d)
	}
	round := func() {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				session := s.Agent.Session()
				for _, code := range []string{"print('x' * 100)", "1/0", "import os; os._exit(1)", "2+2"} {
					s.Agent.Try(session, "python_run", args{"code": code})
				}
				s.Agent.Try(session, "files_write", args{"path": "output/a", "content": "x"})
				ended := false
				stream(t, t.Context(), s.Agent, session, "python_run", args{"code": "print('in', flush=True)\nwhile True: pass"}, func(e abi.Event) bool {
					if e.Type == abi.EventOutput && !ended {
						ended = true
						if a := s.Agent.Do(http.MethodDelete, "/v1/sessions/"+session, ""); a.StatusCode != http.StatusNoContent {
							t.Errorf("ending: %d %s", a.StatusCode, a.Body)
						}
					}
					return true
				})
			})
		}
		wg.Wait()
		http.DefaultClient.CloseIdleConnections()
	}
	round()
	before := settled(t, leftovers{1 << 30, 1 << 30})
	rounds := 0
	for rounds < 2 || time.Now().Before(until) {
		round()
		rounds++
	}
	after := settled(t, before)
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors {
		t.Errorf("after %d rounds %+v, before them %+v\n%s", rounds, after, before, stacks())
	}
	if a := s.Operator.Do(http.MethodGet, "/v1/status", ""); !strings.Contains(string(a.Body), `"sessions":0`) {
		t.Errorf("sessions are left: %s", a.Body)
	}
}

type leftovers struct{ goroutines, descriptors int }

// settled waits, a while, until there is no more than goal and returns what
// there is; without a reachable goal, until nothing changes.
func settled(t *testing.T, goal leftovers) leftovers {
	t.Helper()
	var now, last leftovers
	same := 0
	for range 1500 { // half a minute at most
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		now = leftovers{runtime.NumGoroutine(), len(fds)}
		if now == last {
			same++
		} else {
			same = 0
		}
		if same >= 10 && now.goroutines <= goal.goroutines && now.descriptors <= goal.descriptors {
			break
		}
		last = now
		time.Sleep(20 * time.Millisecond)
	}
	return now
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}
