package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/hosttest"
)

type args map[string]any

// text joins a result's text blocks.
func text(r abi.Result) string {
	var b strings.Builder
	for _, c := range r.Content {
		b.WriteString(c.Text)
	}
	return b.String()
}

// stream runs a tool and hands its events to see as they come, until see
// returns false or the stream ends.
func stream(t *testing.T, ctx context.Context, c *hosttest.Client, session, tool string, a args, see func(abi.Event) bool) {
	t.Helper()
	body, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	req := c.Request(http.MethodPost, "/v1/sessions/"+session+"/tools/"+tool, bytes.NewReader(body)).WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("the answer %d is %q", resp.StatusCode, got)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var e abi.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatalf("event %s: %v", data, err)
			}
			if !see(e) {
				return
			}
		}
	}
}

// run is python_run of a session that must answer with a result.
func run(s *hosttest.Stage, session, code string) abi.Result {
	s.T.Helper()
	return s.Agent.Call(session, "python_run", args{"code": code})
}

func TestToolsAreListedWithSchemas(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	var list struct {
		Tools []struct {
			Name, Description, Plugin string
			InputSchema               struct {
				Type       string
				Properties map[string]struct{ Type, Description string }
				Required   []string
			}
		}
	}
	s.Agent.JSON(http.MethodGet, "/v1/tools", "", &list)
	for _, tool := range list.Tools {
		if tool.Name != "python_run" {
			continue
		}
		code := tool.InputSchema.Properties["code"]
		if tool.Plugin != "python" || code.Type != "string" || code.Description == "" || len(tool.InputSchema.Required) != 1 {
			t.Errorf("python_run is %+v", tool)
		}
		return
	}
	t.Errorf("python_run isn't among %+v", list.Tools)
}

func TestPython(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()

	t.Run("answers with the value of the last expression", func(t *testing.T) {
		if got := text(run(s, session, "1+1")); !strings.Contains(got, "2") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("streams prints while the call runs", func(t *testing.T) {
		// The code goes on only when its print was seen.
		code := "import os, time\nprint('halfway', flush=True)\nwhile not os.path.exists('upload/seen'): time.sleep(.01)\nprint('done')"
		var types []string
		var last abi.Event
		seen := false
		stream(t, t.Context(), s.Agent, session, "python_run", args{"code": code}, func(e abi.Event) bool {
			types = append(types, e.Type)
			if e.Seq != last.Seq+1 {
				t.Errorf("event %d came after %d", e.Seq, last.Seq)
			}
			last = e
			if e.Type == abi.EventOutput && !seen && strings.Contains(e.Output.Text, "halfway") {
				seen = true
				s.Agent.JSON(http.MethodPut, "/v1/sessions/"+session+"/files/upload/seen", "yes", nil)
			}
			return true
		})
		if !seen || types[0] != abi.EventStarted || last.Type != abi.EventResult || !strings.Contains(text(*last.Result), "done") {
			t.Errorf("events were %v, the last %+v", types, last)
		}
	})
	t.Run("shows a figure as a picture", func(t *testing.T) {
		r := run(s, session, "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.title('标题'); plt.show()")
		for _, c := range r.Content {
			if c.Type == abi.ContentImage {
				if _, err := png.Decode(bytes.NewReader(c.Data)); err != nil || c.MIMEType != "image/png" {
					t.Errorf("the picture is %q: %v", c.MIMEType, err)
				}
				if strings.Contains(text(r), "missing from font") {
					t.Errorf("the title's glyphs are missing: %s", text(r))
				}
				return
			}
		}
		t.Errorf("there is no picture in %s", text(r))
	})
	t.Run("an exception comes with its traceback", func(t *testing.T) {
		r := run(s, session, "def f():\n    return 1/0\nf()")
		if got := text(r); !r.IsError || !strings.Contains(got, "ZeroDivisionError") || !strings.Contains(got, "return 1/0") {
			t.Errorf("got %v %q", r.IsError, got)
		}
	})
	t.Run("a timeout keeps what was printed and the variables", func(t *testing.T) {
		r := s.Agent.Call(session, "python_run", args{"code": "kept = 7\nprint('before')\nwhile True: pass", "timeout_seconds": 1})
		if got := text(r); !r.IsError || !strings.Contains(got, "before") {
			t.Errorf("got %v %q", r.IsError, got)
		}
		if got := text(run(s, session, "kept")); !strings.Contains(got, "7") {
			t.Errorf("the variable is gone: %q", got)
		}
	})
	t.Run("an endless loop is interrupted, and the variables are kept", func(t *testing.T) {
		var last abi.Event
		interrupted := false
		stream(t, t.Context(), s.Agent, session, "python_run", args{"code": "x = 42\nprint('in', flush=True)\nwhile True: pass"}, func(e abi.Event) bool {
			if e.Type == abi.EventOutput && !interrupted {
				interrupted = true
				s.Agent.JSON(http.MethodPost, "/v1/sessions/"+session+"/kernel/interrupt", "", nil)
			}
			last = e
			return true
		})
		if last.Result == nil || !last.Result.IsError {
			t.Errorf("the interrupted call ended with %+v", last)
		}
		if got := text(run(s, session, "x")); !strings.Contains(got, "42") {
			t.Errorf("the variable is gone: %q", got)
		}
	})
	t.Run("parallel calls are queued in the kernel", func(t *testing.T) {
		run(s, session, "n = 0")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { run(s, session, "import time\nm = n\ntime.sleep(.05)\nn = m + 1") })
		}
		wg.Wait()
		if got := text(run(s, session, "n")); !strings.Contains(got, "4") {
			t.Errorf("calls overlapped: n is %q", got)
		}
	})
	t.Run("the working directory shows the zones", func(t *testing.T) {
		got := text(run(s, session, "import os\nprint(sorted(d for d in os.listdir() if d in ('upload', 'output', 'store', 'deploy')))"))
		if !strings.Contains(got, "['output', 'store', 'upload']") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a reset forgets the variables, and says nothing was lost", func(t *testing.T) {
		s.Agent.JSON(http.MethodPost, "/v1/sessions/"+session+"/kernel/reset", "", nil)
		r := run(s, session, "x")
		if got := text(r); !strings.Contains(got, "NameError") || strings.Contains(got, "afresh") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("the host's environment isn't the kernel's", func(t *testing.T) {
		t.Setenv("SALLYPORT_TEST_SECRET", "swordfish") // the host is this process
		s.Agent.JSON(http.MethodPost, "/v1/sessions/"+session+"/kernel/reset", "", nil)
		if got := text(run(s, session, "import os\nprint(sorted(os.environ.items()))")); strings.Contains(got, "swordfish") {
			t.Errorf("the kernel sees %q", got)
		}
	})
}

func TestAKernelThatDiesInMidCall(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	for _, code := range []string{"import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)"} {
		run(s, session, "y = 1")
		a := s.Agent.Try(session, "python_run", args{"code": code})
		if p := a.Problem(t); a.StatusCode != http.StatusBadGateway || p.Code != abi.CodeStateLost || p.Hint == "" {
			t.Errorf("%s: got %d %+v", code, a.StatusCode, p)
		}
		r := run(s, session, "print('y' in globals())")
		if got := text(r); !strings.Contains(got, "False") || !strings.Contains(got, "started afresh") {
			t.Errorf("%s: the next call doesn't say that state was lost: %q", code, got)
		}
		if got := text(run(s, session, "2+2")); strings.Contains(got, "afresh") {
			t.Errorf("%s: the notice comes twice: %q", code, got)
		}
	}
}

// TestADyingKernelLeavesItsLastWords has code die after its print was seen: the
// error tells what was printed, for those who don't stream.
func TestADyingKernelLeavesItsLastWords(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	code := "import os, time\nprint('last words', flush=True)\nwhile not os.path.exists('upload/seen'): time.sleep(.01)\nos._exit(1)"
	var last abi.Event
	seen := false
	stream(t, t.Context(), s.Agent, session, "python_run", args{"code": code}, func(e abi.Event) bool {
		if e.Type == abi.EventOutput && !seen {
			seen = true
			s.Agent.JSON(http.MethodPut, "/v1/sessions/"+session+"/files/upload/seen", "yes", nil)
		}
		last = e
		return true
	})
	if last.Error == nil || last.Error.Code != abi.CodeStateLost || !strings.Contains(last.Error.Hint, "last words") {
		t.Errorf("the call ended with %+v %+v", last, last.Error)
	}
}

func TestCodeThatIgnoresItsInterruptIsEnded(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	r := s.Agent.Call(session, "python_run", args{"timeout_seconds": 1, "code": `
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("deaf", flush=True)
while True: pass`})
	if got := text(r); !r.IsError || !strings.Contains(got, "deaf") || !strings.Contains(got, "variables are gone") {
		t.Errorf("got %v %q", r.IsError, got)
	}
	if got := text(run(s, session, "1+1")); !strings.Contains(got, "2") || !strings.Contains(got, "started afresh") {
		t.Errorf("got %q", got)
	}
}

// TestAClientThatVanishesEndsItsRun shows that nobody's loop goes on.
func TestAClientThatVanishesEndsItsRun(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	ctx, vanish := context.WithCancel(t.Context())
	defer vanish()
	stream(t, ctx, s.Agent, session, "python_run", args{"code": "z = 5\nprint('in', flush=True)\nwhile True: pass"}, func(e abi.Event) bool {
		return e.Type != abi.EventOutput
	})
	vanish()
	// The next call waits in the kernel's queue until the loop is over.
	if got := text(run(s, session, "z")); !strings.Contains(got, "5") {
		t.Errorf("got %q", got)
	}
}

func TestSessionsKeepTheirFilesWhenTheHostStartsAgain(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	run(s, session, "open('output/kept.txt', 'w').write('kept')")
	s.Restart()
	a := s.Agent.Do(http.MethodGet, "/v1/sessions/"+session+"/files/output/kept.txt", "")
	if string(a.Body) != "kept" {
		t.Errorf("got %d %s", a.StatusCode, a.Body)
	}
	if got := text(run(s, session, "1+1")); !strings.Contains(got, "2") || !strings.Contains(got, "the host was started again") {
		t.Errorf("got %q", got)
	}
}

// TestCodeThatExits shows that exit() costs the variables and nothing else: the
// call after it is carried out, by a fresh kernel that says so.
func TestCodeThatExits(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	for range 3 {
		run(s, session, "x = 1")
		run(s, session, "exit()")
		if got := text(run(s, session, "print('x' in globals())")); !strings.Contains(got, "False") || !strings.Contains(got, "afresh") {
			t.Errorf("got %q", got)
		}
	}
}

func TestPythonMissing(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Config: withPython("/no/such/python")})
	a := s.Agent.Try(s.Agent.Session(), "python_run", args{"code": "1"})
	p := a.Problem(t)
	if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "/no/such/python") || !strings.Contains(p.Hint, "make setup") {
		t.Errorf("got %d %s (hint: %s)", a.StatusCode, p.Detail, p.Hint)
	}
}

// TestEndingASessionEndsWhatRunsInIt has a call under way when its session ends.
func TestEndingASessionEndsWhatRunsInIt(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	var last abi.Event
	ended := false
	var pid int
	stream(t, t.Context(), s.Agent, session, "python_run", args{"code": "print('looping', flush=True)\nwhile True: pass"}, func(e abi.Event) bool {
		if e.Type == abi.EventOutput && !ended {
			ended = true
			pid = kernelPID(s, session)
			if a := s.Agent.Do(http.MethodDelete, "/v1/sessions/"+session, ""); a.StatusCode != http.StatusNoContent {
				t.Errorf("ending the session: %d %s", a.StatusCode, a.Body)
			}
		}
		last = e
		return true
	})
	if last.Type != abi.EventError || last.Error.Code != abi.CodeCanceled {
		t.Errorf("the call ended with %+v %v", last, last.Error)
	}
	waitGone(t, pid)
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}
