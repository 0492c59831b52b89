package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// lag is how long after its deadline or its cancellation a hostile call may
// end.
const lag = time.Second

// fuelSlack is what may be spent beyond the fuel: a block of instructions, or
// one bulk operation that isn't split.
const fuelSlack = 1 << 18

// TestHostileModules has every module of the corpus make its attempts, and
// looks whether the engine and the plugin are as good as before.
func TestHostileModules(t *testing.T) {
	good := newGuest().encode()
	for _, h := range hostiles(t) {
		t.Run(h.name, func(t *testing.T) {
			for _, r := range h.trials {
				e := newEngine(t, engine.Config{DescribeTimeout: time.Second})
				r.attempt(t, e, h.module(t))
				if t.Failed() {
					t.Logf("that was with %+v", r.circumstances)
				}
				answer, err := compile(t, e, good, engine.Options{}).Call(t.Context(), engine.Call{Request: []byte("ping")})
				if err != nil || string(answer.Response) != "ping" {
					t.Errorf("afterwards a good plugin answers %q, %v", answer.Response, err)
				}
			}
		})
	}
}

// TestHostileModulesDoTheirHarm is the control of that: without the one limit
// or rule, each does what it is kept from.
func TestHostileModulesDoTheirHarm(t *testing.T) {
	for _, h := range hostiles(t) {
		for i, c := range h.controls {
			t.Run(fmt.Sprint(h.name, "/", i), func(t *testing.T) {
				t.Parallel()
				if c.raw {
					if err := c.shows(rawly(t, h, c)); err != nil {
						t.Error(err)
					}
					return
				}
				wasm, err := apply(h.module(t), c.edits)
				if err != nil {
					t.Fatal(err)
				}
				e := newEngine(t, engine.Config{DescribeTimeout: time.Second})
				p, err := c.admit(t, e, wasm)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.call(t, p); !got.is(c.gets) {
					t.Errorf("it gets %v, want %s", got, c.gets)
				}
			})
		}
	}
}

// An outcome is what a hostile module got.
type outcome struct {
	stage string // compile or call
	code  abi.Code
	limit string
	text  string // the answer, or the message
}

func (o outcome) String() string {
	if o.code == 0 {
		return "answers " + o.text
	}
	return fmt.Sprintf("%v limit=%s at=%s (%s)", o.code, o.limit, o.stage, o.text)
}

func outcomeOf(stage string, answer engine.Answer, err error) outcome {
	if err == nil {
		return outcome{stage: stage, text: answered(answer.Response)}
	}
	e, ok := errors.AsType[*abi.Error](err)
	if !ok {
		return outcome{stage: stage, code: abi.CodeInternal, text: "not an *abi.Error: " + err.Error()}
	}
	return outcome{stage: stage, code: e.Code, limit: e.Limit, text: e.Message}
}

// is compares an outcome with the words of a module's comment:
//
//	answers N|N
//	CODE|CODE limit=NAME at=compile
//
// where the rest may be left out.
func (o outcome) is(words string) bool {
	first, rest, _ := strings.Cut(words, " ")
	if first == "answers" {
		return o.code == 0 && slices.Contains(strings.Split(rest, "|"), o.text)
	}
	stage, limit := "call", ""
	for word := range strings.FieldsSeq(rest) {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "at":
			stage = value
		case "limit":
			limit = value
		}
	}
	return o.code != 0 && slices.Contains(strings.Split(first, "|"), o.code.String()) && o.stage == stage && (o.limit == limit || stage == "compile" && limit == "")
}

// attempt carries out one attempt, and the call after it.
func (r trial) attempt(t *testing.T, e *engine.Engine, wasm []byte) {
	t.Helper()
	p, err := r.admit(t, e, wasm)
	got := outcomeOf("compile", engine.Answer{}, err)
	if err == nil {
		got = r.call(t, p)
	}
	if !got.is(r.gets) || !strings.Contains(got.text, r.says) {
		t.Errorf("it gets %v, want %s (%s)", got, r.gets, r.says)
	}
	if err != nil {
		return
	}
	next := r.circumstances
	next.tool, next.cancel, next.describe = 1, 0, 0
	want := r.after
	if want == "" {
		want = "answers 42"
	}
	for range 2 {
		if got := next.call(t, p); !got.is(want) {
			t.Errorf("the plugin's next call gets %v, want %s", got, want)
		}
	}
}

// admit compiles a module. What takes the compiler too long is given up, for
// nothing ends it.
func (c circumstances) admit(t *testing.T, e *engine.Engine, wasm []byte) (*engine.Plugin, error) {
	t.Helper()
	type admitted struct {
		p   *engine.Plugin
		err error
	}
	done := make(chan admitted, 1)
	go func() {
		p, err := e.Compile(t.Context(), wasm, engine.Options{Modules: c.modules, Limits: c.engineLimits()})
		done <- admitted{p, err}
	}()
	select {
	case a := <-done:
		return a.p, a.err
	case <-time.After(20 * time.Second):
		t.Fatal("admission goes on and on")
		return nil, nil
	}
}

// engineLimits are the limits without what the engine leaves to its callers.
func (c circumstances) engineLimits() abi.Limits {
	limits := c.limits
	limits.Deadline = 0
	return limits
}

// call calls a plugin under the circumstances, and checks that what it used is
// within its limits and that it ended in time.
func (c circumstances) call(t *testing.T, p *engine.Plugin) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	until := time.Minute
	if d := time.Duration(c.limits.Deadline); d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
		until = d
	}
	if c.cancel > 0 {
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer time.AfterFunc(c.cancel, cancel).Stop()
		until = c.cancel
	}
	request := engine.Call{Tool: c.tool, Request: []byte("ping"), Dispatch: c.carryOut}
	root := newRootFS(t)
	if c.files {
		root.put(t, "secret", "secret")
		request.Mounts = root.output().Mounts
	}
	start := time.Now()
	if c.describe > 0 {
		frame, err := p.Describe(ctx)
		return outcomeOf("call", engine.Answer{Response: frame}, err)
	}
	answer, err := p.Call(ctx, request)
	if late := time.Since(start) - until; late > lag {
		t.Errorf("it ended %v too late", late)
	}
	if n := root.open.Load(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
	c.within(t, answer.Usage)
	return outcomeOf("call", answer, err)
}

func (c circumstances) carryOut(ctx context.Context, _ string, _ []byte) ([]byte, error) {
	if c.dispatch == "blocks" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	n, _ := strconv.Atoi(c.dispatch)
	return make([]byte, n), nil
}

// within checks that no more was used than there was.
func (c circumstances) within(t *testing.T, u engine.Usage) {
	t.Helper()
	for _, use := range []struct {
		name        string
		used, limit int64
	}{
		{"fuel", u.Fuel - fuelSlack, c.limits.Fuel},
		{"host_calls", u.HostCalls - 1, c.limits.HostCalls}, // the one that is refused counts
		{"output_bytes", u.OutputBytes, c.limits.OutputBytes},
		{"memory_mib", u.MemoryBytes, int64(c.limits.MemoryMiB) << 20},
		{"table_elements", u.TableElements, int64(c.limits.TableElements)},
	} {
		if use.limit > 0 && use.used > use.limit {
			t.Errorf("it used %d of %s, of which it had %d", use.used, use.name, use.limit)
		}
	}
}
