package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
)

func TestWhatWasNotGrantedIsDeniedAndAudited(t *testing.T) {
	tests := []struct {
		name, op, header string
		granted          abi.Capabilities
		grant            string
		audit            string
	}{
		{"no kernel", "kernel.execute", `{"code":"1"}`, abi.Capabilities{}, "kernel.languages: python",
			"outcome kernel.execute code_bytes=1 code_sha256=6b86b273 language=python → permission_denied"},
		{"another language", "kernel.execute", `{"code":"1","language":"r"}`, python(0), "kernel.languages: r",
			"outcome kernel.execute code_bytes=1 code_sha256=6b86b273 language=r → permission_denied"},
		{"a longer time", "kernel.execute", `{"code":"1","timeout_ms":10001}`, python(10 * time.Second), "kernel.max_time",
			"outcome kernel.execute code_bytes=1 code_sha256=6b86b273 language=python timeout_ms=10001 → permission_denied"},
		{"a denied task", "kernel.execute", `{"code":"1","async":true}`, abi.Capabilities{}, "kernel.languages: python",
			"outcome kernel.execute code_bytes=1 code_sha256=6b86b273 language=python → permission_denied"},
		{"interrupt", "kernel.interrupt", `{}`, abi.Capabilities{}, "kernel.languages: python", "outcome kernel.interrupt language=python → permission_denied"},
		{"reset", "kernel.reset", `{"language":"r"}`, python(0), "kernel.languages: r", "outcome kernel.reset language=r → permission_denied"},
		{"status", "kernel.status", `{}`, abi.Capabilities{}, "kernel.languages: python", "outcome kernel.status language=python → permission_denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &fakeKernel{}
			c, r := newCall(t, k, func(config *bridge.Config) { config.Capabilities = tt.granted })
			_, err := c.Dispatch(t.Context(), tt.op, request(t, tt.header))
			e := abi.AsError(err)
			if e == nil || e.Code != abi.CodePermissionDenied || !strings.HasPrefix(e.Grant, tt.grant) {
				t.Errorf("error is %+v, want permission_denied for %s", e, tt.grant)
			}
			same(t, "audit", r.audited(), tt.audit)
			same(t, "kernel", k.log(), "")
		})
	}
}

func TestTimeouts(t *testing.T) {
	tests := []struct {
		name    string
		maxTime time.Duration
		asked   string
		want    string
	}{
		{"none asked, none granted: the kernel's own", 0, "0", "timeout_ms=0"},
		{"none asked: the longest granted", 90 * time.Second, "0", "timeout_ms=90000"},
		{"less than granted", 90 * time.Second, "5", "timeout_ms=5"},
		{"all that is granted", 90 * time.Second, "90000", "timeout_ms=90000"},
		{"a grant below a millisecond is not endless", time.Microsecond, "0", "timeout_ms=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &fakeKernel{}
			c, _ := newCall(t, k, func(config *bridge.Config) { config.Capabilities = python(tt.maxTime) })
			if _, err := c.Dispatch(t.Context(), abi.OpKernelExecute, request(t, `{"code":"1","timeout_ms":`+tt.asked+`}`)); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(k.log(), tt.want) {
				t.Errorf("the kernel got %s, want %s", k.log(), tt.want)
			}
		})
	}
}

func TestARunLeavesTheCallTimeToAnswer(t *testing.T) {
	tests := []struct {
		name  string
		left  time.Duration // of the call
		asked time.Duration
		most  time.Duration // that the kernel may be given
	}{
		{"none asked", time.Minute, 0, 57 * time.Second},
		{"more than is left", time.Minute, 5 * time.Minute, 57 * time.Second},
		{"all that is left", time.Minute, time.Minute, 57 * time.Second},
		{"little left", 2 * time.Second, time.Minute, time.Millisecond},
		{"enough left", time.Hour, time.Second, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got time.Duration
				k := &fakeKernel{execute: func(_ context.Context, r abi.KernelExecuteRequest, _ func(abi.Output)) (abi.KernelExecuteResponse, error) {
					got = time.Duration(r.TimeoutMS) * time.Millisecond
					return abi.KernelExecuteResponse{Status: abi.StatusOK}, nil
				}}
				c, _ := newCall(t, k, func(config *bridge.Config) { config.Capabilities = python(10 * time.Minute) })
				ctx, cancel := context.WithTimeout(t.Context(), tt.left)
				defer cancel()
				if _, err := c.Dispatch(ctx, abi.OpKernelExecute, request(t, fmt.Sprintf(`{"code":"1","timeout_ms":%d}`, tt.asked.Milliseconds()))); err != nil {
					t.Fatal(err)
				}
				if got != tt.most {
					t.Errorf("the kernel got %v, want %v", got, tt.most)
				}
			})
		})
	}
}

func TestATimeOverTheGrantIsRefusedHoweverLittleIsLeft(t *testing.T) {
	k := &fakeKernel{}
	c, _ := newCall(t, k, func(config *bridge.Config) { config.Capabilities = python(time.Minute) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := c.Dispatch(ctx, abi.OpKernelExecute, request(t, `{"code":"1","timeout_ms":61000}`))
	if e := abi.AsError(err); e == nil || e.Code != abi.CodePermissionDenied || e.Grant != "kernel.max_time: 1m1s" {
		t.Errorf("error is %+v", e)
	}
	same(t, "kernel", k.log(), "")
}

func TestAnIntentThatCannotBeAuditedIsNotCarriedOut(t *testing.T) {
	for name, edit := range map[string]func(*bridge.Config){
		"no log": func(c *bridge.Config) { c.Audit = nil },
		"a log that's full": func(c *bridge.Config) {
			c.Audit = func(bridge.Record) error { return errors.New("/var/lib/audit: disk full") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := &fakeKernel{}
			c, _ := newCall(t, k, edit)
			trace(t, c, `
				==> kernel.execute {"code":"1"}
				<== unavailable: kernel.execute: it can't be audited, so it wasn't done
				==> kernel.execute {"code":"1","async":true}
				<== unavailable: kernel.execute: it can't be audited, so it wasn't done
				==> kernel.reset {}
				<== unavailable: kernel.reset: it can't be audited, so it wasn't done
				==> call.wait {"tasks":[1]}
				<== not_found: call.wait: there is no task 1, or its response was fetched
			`)
			same(t, "kernel", k.log(), "")
		})
	}
}

func TestAnOutcomeThatCannotBeAuditedIsStillAnswered(t *testing.T) {
	var logged bytes.Buffer
	c, r := newCall(t, &fakeKernel{}, func(config *bridge.Config) {
		config.Logger = hclog.New(&hclog.LoggerOptions{Output: &logged})
	})
	r.refuse = func(rec bridge.Record) error {
		if rec.Phase == bridge.PhaseOutcome {
			return errors.New("disk full")
		}
		return nil
	}
	trace(t, c, `
		==> kernel.reset {}
		<== {}
	`)
	if !strings.Contains(logged.String(), "outcome not audited") {
		t.Errorf("log: %s", logged.String())
	}
}

func TestACapabilityThatIsNotOfferedIsUnavailable(t *testing.T) {
	c, r := newCall(t, nil, func(config *bridge.Config) { config.Kernel = nil })
	for _, op := range []string{abi.OpKernelExecute, abi.OpKernelInterrupt, abi.OpKernelReset, abi.OpKernelStatus} {
		_, err := c.Dispatch(t.Context(), op, request(t, `{"code":"1"}`))
		if e := abi.AsError(err); e == nil || e.Code != abi.CodeUnavailable || e.Hint == "" {
			t.Errorf("%s: %+v, want unavailable with a hint", op, e)
		}
	}
	if n := strings.Count(r.audited(), "→ unavailable"); n != 4 {
		t.Errorf("audited:\n%s", r.audited())
	}
}

// TestFailuresOfACapability shows what becomes of them: a code stays, a cause
// without one goes to the log alone, and a panic is no crash.
func TestFailuresOfACapability(t *testing.T) {
	type response = abi.KernelExecuteResponse
	tests := []struct {
		name    string
		fail    func() (response, error)
		want    string
		logged  string
		outcome string
	}{
		{"one with a code", func() (response, error) {
			return response{}, abi.Errorf(abi.CodeStateLost, "the kernel died")
		}, "state_lost: the kernel died", "", "state_lost"},
		{"one without", func() (response, error) {
			return response{}, errors.New("dial /run/secret.sock")
		}, "internal: kernel.execute: the host failed; its log has the cause", "secret.sock", "internal"},
		{"one whose code is none", func() (response, error) {
			return response{}, &abi.Error{Message: "oops"}
		}, "internal: kernel.execute: the host failed; its log has the cause", "oops", "internal"},
		{"a cancelled context", func() (response, error) {
			return response{}, context.Canceled
		}, "canceled: kernel.execute: cancelled", "", "canceled"},
		{"a late one", func() (response, error) {
			return response{}, context.DeadlineExceeded
		}, "deadline_exceeded: kernel.execute: the call's time is over", "", "deadline_exceeded"},
		{"a panic", func() (response, error) {
			panic("index out of range")
		}, "internal: kernel.execute: the host failed; its log has the cause", "index out of range", "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var logged bytes.Buffer
			k := &fakeKernel{execute: func(context.Context, abi.KernelExecuteRequest, func(abi.Output)) (response, error) {
				return tt.fail()
			}}
			c, r := newCall(t, k, func(config *bridge.Config) {
				config.Logger = hclog.New(&hclog.LoggerOptions{Output: &logged})
			})
			if got := dispatch(t.Context(), t, c, abi.OpKernelExecute, `{"code":"1"}`); got != tt.want {
				t.Errorf("answer is %s, want %s", got, tt.want)
			}
			if tt.logged == "" && logged.Len() > 0 || !strings.Contains(logged.String(), tt.logged) {
				t.Errorf("log is %q, want %q in it", logged.String(), tt.logged)
			}
			if !strings.HasSuffix(r.audited(), "→ "+tt.outcome) {
				t.Errorf("audited:\n%s\nwant the outcome %s", r.audited(), tt.outcome)
			}
			same(t, "the next operation", dispatch(t.Context(), t, c, abi.OpKernelReset, `{}`), "{}")
		})
	}
}

func TestAPanicOfAnEventsReaderIsNoCrash(t *testing.T) {
	c, _ := newCall(t, nil, func(config *bridge.Config) {
		config.Emit = func(abi.Event) { panic("the stream is gone") }
	})
	trace(t, c, `
		==> call.progress {"progress":1}
		<== internal: call.progress: the host failed; its log has the cause
		==> call.progress {"progress":2}
		<== internal: call.progress: the host failed; its log has the cause
	`)
}

func TestOutputIsStreamedWhereItWasAskedFor(t *testing.T) {
	outputs := []abi.Output{
		{Type: abi.OutputStream, Name: "stdout", Text: "hi\n"},
		{Type: abi.OutputDisplay, Blobs: []abi.Blob{{MIMEType: "image/png", Bytes: []byte("12345678")}}},
	}
	var late func(abi.Output)
	k := &fakeKernel{execute: func(_ context.Context, r abi.KernelExecuteRequest, sink func(abi.Output)) (abi.KernelExecuteResponse, error) {
		for _, o := range outputs {
			sink(o)
		}
		late = sink
		return abi.KernelExecuteResponse{Status: abi.StatusOK, Outputs: outputs}, nil
	}}
	c, r := newCall(t, k, nil)
	answer := `{"status":"ok","outputs":[{"type":"stream","name":"stdout","text":"hi\n"},{"type":"display","blobs":[{"mimeType":"image/png","offset":0,"length":8}]}],"duration_ms":0} body=3132333435363738`
	trace(t, c, `
		==> kernel.execute {"code":"1"}
		<== `+answer)
	same(t, "events of a private run", r.emitted(), "")
	trace(t, c, `
		==> kernel.execute {"code":"1","stream":"agent"}
		<== `+answer)
	late(outputs[0]) // too late: it has returned
	same(t, "events", r.emitted(), `
		{"type":"output","output":{"type":"stream","name":"stdout","text":"hi\n"}}
		{"type":"output","output":{"type":"display","blobs":[{"mimeType":"image/png","offset":0,"length":8}]}}
	`)
}

func TestOutputThatDoesNotFitIsLeftOutAndCounted(t *testing.T) {
	text := func(n int) abi.Output {
		return abi.Output{Type: abi.OutputStream, Name: "stdout", Text: strings.Repeat("x", n)}
	}
	image := func(n int) abi.Output {
		return abi.Output{Type: abi.OutputDisplay, Blobs: []abi.Blob{{MIMEType: "image/png", Bytes: make([]byte, n)}}}
	}
	const mib = 1 << 20
	tests := []struct {
		name    string
		outputs []abi.Output
		async   bool
		kept    int
		dropped int64
	}{
		{"all fit", []abi.Output{text(mib), image(mib)}, false, 2, 0},
		{"a long print among short ones", []abi.Output{text(5), text(5 * mib), text(5)}, false, 2, 5 * mib},
		{"many prints", []abi.Output{text(mib), text(mib), text(mib), text(mib), text(mib)}, false, 3, 2 * mib},
		{"control characters take six bytes each", []abi.Output{{Type: abi.OutputStream, Text: strings.Repeat("\x01", mib)}}, false, 0, mib},
		{"images", []abi.Output{image(33 * mib), image(33 * mib), text(5)}, false, 2, 33 * mib},
		{"what a task's response has no room for", []abi.Output{text(abi.MaxHeaderBytes - 120)}, true, 0, abi.MaxHeaderBytes - 120},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &fakeKernel{execute: func(context.Context, abi.KernelExecuteRequest, func(abi.Output)) (abi.KernelExecuteResponse, error) {
				return abi.KernelExecuteResponse{Status: abi.StatusOK, Outputs: tt.outputs}, nil
			}}
			c, _ := newCall(t, k, nil)
			b, err := c.Dispatch(t.Context(), abi.OpKernelExecute, request(t, `{"code":"1"}`))
			if tt.async {
				same(t, "task", dispatch(t.Context(), t, c, abi.OpKernelExecute, `{"code":"1","async":true}`), `{"task":1}`)
				b, err = c.Dispatch(t.Context(), abi.OpCallWait, request(t, `{"tasks":[1]}`))
			}
			if err != nil {
				t.Fatal(err)
			}
			f, err := abi.DecodeFrame(b)
			if err != nil {
				t.Fatal(err)
			}
			if tt.async {
				var w abi.WaitResponse
				if err := f.Decode(&w); err != nil {
					t.Fatal(err)
				}
				f.Header = w.Response
			}
			res, err := abi.DecodeKernelExecute(f)
			if err != nil {
				t.Fatal(err)
			}
			if res.Status != abi.StatusOK || len(res.Outputs) != tt.kept || res.Truncated != tt.dropped {
				t.Errorf("%s, %d outputs kept, %d bytes dropped, want %d and %d", res.Status, len(res.Outputs), res.Truncated, tt.kept, tt.dropped)
			}
		})
	}
}

func TestAnErrorThatDoesNotFitIsExhaustion(t *testing.T) {
	k := &fakeKernel{execute: func(context.Context, abi.KernelExecuteRequest, func(abi.Output)) (abi.KernelExecuteResponse, error) {
		return abi.KernelExecuteResponse{Status: abi.StatusError, Error: &abi.KernelError{Value: strings.Repeat("x", 5<<20)}}, nil
	}}
	c, _ := newCall(t, k, nil)
	trace(t, c, `
		==> kernel.execute {"code":"1"}
		<== resource_exhausted: kernel.execute: the code ran, and its error alone does not fit into a response
	`)
}

func TestACallHasABoundedNumberOfOperations(t *testing.T) {
	k := &fakeKernel{}
	c, r := newCall(t, k, nil)
	status := request(t, "{}")
	for range abi.MaxOperations {
		if _, err := c.Dispatch(t.Context(), abi.OpKernelStatus, status); err != nil {
			t.Fatal(err)
		}
	}
	before := len(r.audited())
	trace(t, c, `
		==> kernel.status {}
		<== resource_exhausted: kernel.status: a call has at most 10000 operations
		==> kernel.execute {"code":"1"}
		<== resource_exhausted: kernel.execute: a call has at most 10000 operations
		==> call.config {}
		<== {"config":{}}
	`)
	if after := len(r.audited()); after != before {
		t.Error("what is over the bound was audited")
	}
}
