package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// A usage is what a call took, as its result's metadata tells.
type usage struct {
	Sandbox     string
	WallMS      float64 `json:"wall_ms"`
	Fuel        int64
	MemoryBytes int64 `json:"memory_bytes"`
}

func (r *result) usage() (u usage, err error) {
	return u, json.Unmarshal(r.Meta["sallyport/usage"], &u)
}

// startClean calls a tool that counts its calls: it never gets beyond one.
func (p *play) startClean(ctx context.Context) error {
	const calls = 200
	var took []float64
	kinds := map[string]int{}
	var last usage
	for range calls {
		r, err := p.agent.call(ctx, p.session, "badboy_remember", args{})
		if err != nil {
			return err
		}
		if r.text() != "1" {
			return fmt.Errorf("a call remembers another: %s", r.text())
		}
		if last, err = r.usage(); err != nil {
			return err
		}
		kinds[last.Sandbox]++
		took = append(took, last.WallMS)
	}
	slices.Sort(took)
	if kinds["reset"] < calls/2 {
		return fmt.Errorf("calls came by their sandboxes as %v", kinds)
	}
	say("%d calls, none knew of another: %d sandboxes were made of the snapshot, %d times one was put back to it", calls, kinds["fork"], kinds["reset"])
	say("a call takes %.0f µs (median), %d units of fuel, %d KiB of memory", took[calls/2]*1000, last.Fuel, last.MemoryBytes>>10)
	return nil
}

// meetLimits has a hostile plugin try to take more than it may.
func (p *play) meetLimits(ctx context.Context) error {
	for _, attempt := range []struct {
		what, tool string
		args       args
		code       string
		limit      string
	}{
		{"compute for ever", "badboy_loop", args{}, "resource_exhausted", "fuel"},
		{"sleep for ever", "badboy_sleep", args{}, "deadline_exceeded", "deadline"},
		{"call itself for ever", "badboy_recurse", args{}, "resource_exhausted", "stack_kib"},
		{"take all memory", "badboy_eat", args{}, "plugin_failed", "memory_mib"},
		{"ask the host for ever", "badboy_ask", args{"times": 1 << 30}, "resource_exhausted", "host_calls"},
		{"answer with 2 MiB", "badboy_talk", args{"bytes": 2 << 20}, "resource_exhausted", "output_bytes"},
	} {
		began := time.Now()
		_, err := p.agent.call(ctx, p.session, attempt.tool, attempt.args)
		e, ok := errors.AsType[*problem](err)
		if !ok || e.Code != attempt.code || e.Limit != attempt.limit || !strings.Contains(e.Hint, "limits."+attempt.limit) {
			return fmt.Errorf("to %s came to: %v", attempt.what, err)
		}
		say("to %s: %s, limit %s, after %.1f s", attempt.what, e.Code, e.Limit, time.Since(began).Seconds())
	}
	return nil
}

// callAcross has one plugin call tools of others.
func (p *play) callAcross(ctx context.Context) error {
	r, err := p.agent.call(ctx, p.session, "relay_call", args{
		"tool": "files_write", "arguments": args{"path": "output/relayed.txt", "content": "written by files, for relay"},
	})
	if err != nil || r.IsError {
		return fmt.Errorf("relay_call came to %v: %s", err, r.text())
	}
	b, err := p.agent.bytes(ctx, http.MethodGet, p.file("output/relayed.txt"), nil)
	if err != nil || string(b) != "written by files, for relay" {
		return fmt.Errorf("the file holds %q, %v", b, err)
	}
	say("relay, which was granted no zone, had files write output/relayed.txt: it was granted files_write")
	_, err = p.agent.call(ctx, p.session, "relay_call", args{"tool": "files_edit"})
	if err := expect(err, "permission_denied", "tool.names"); err != nil {
		return err
	}
	_, err = p.agent.call(ctx, p.session, "relay_call", args{"tool": "relay_call", "arguments": args{"tool": "files_list"}})
	return expect(err, "failed_precondition", "")
}

// keepSessions shows a plugin that keeps state for each session.
func (p *play) keepSessions(ctx context.Context) error {
	var other struct{ ID string }
	if err := p.agent.json(ctx, http.MethodPost, "/v1/sessions", nil, &other); err != nil {
		return err
	}
	for _, next := range []struct{ session, want string }{{p.session, "1"}, {p.session, "2"}, {other.ID, "1"}, {p.session, "3"}} {
		r, err := p.agent.call(ctx, next.session, "counter_next", args{})
		if err != nil {
			return err
		}
		if r.text() != next.want {
			return fmt.Errorf("counter_next answers %s, not %s", r.text(), next.want)
		}
	}
	say("counter, whose manifest says state: session, counts 1, 2, 3 here and by itself in another session")
	return p.agent.json(ctx, http.MethodDelete, "/v1/sessions/"+other.ID, nil, nil)
}

// takeOver puts a new version of a plugin beside the old one and approves it,
// while a call of the old one is under way.
func (p *play) takeOver(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		r, err := p.agent.call(ctx, p.session, "edition_wait", args{})
		if err == nil && r.text() == "" {
			err = errors.New("edition_wait answered nothing")
		}
		ended <- err
	}()
	if err := p.edition(ctx, func(list []version) bool { return len(list) == 1 && list[0].Running == 1 }); err != nil {
		return err
	}
	if err := p.stage.replaceEdition(ctx); err != nil {
		return err
	}
	err := p.edition(ctx, func(list []version) bool {
		return slices.ContainsFunc(list, func(v version) bool { return v.State == "draining" && v.Running == 1 }) &&
			slices.ContainsFunc(list, func(v version) bool { return v.State == "loaded" && v.Running == 0 })
	})
	if err != nil {
		return err
	}
	if _, err := p.agent.call(ctx, p.session, "edition_tell", args{}); err != nil {
		return fmt.Errorf("the new version: %w", err)
	}
	say("a new version answers, while the old one still has a call under way")
	if err := p.agent.json(ctx, http.MethodPut, p.file("output/go"), nil, nil); err != nil {
		return err
	}
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("the call under way: %w", err)
		}
	case <-time.After(20 * time.Second):
		return errors.New("the call under way doesn't end")
	}
	say("that call ended as it began, and the old version is gone")
	return p.edition(ctx, func(list []version) bool {
		return !slices.ContainsFunc(list, func(v version) bool { return v.State == "draining" })
	})
}

// A version is one of the plugin edition, as the host lists it.
type version struct {
	Name, State string
	Running     int
}

// edition waits until the host's list of edition's versions is as it should be.
func (p *play) edition(ctx context.Context, is func([]version) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		var all struct{ Plugins []version }
		if err := p.operator.json(ctx, http.MethodGet, "/v1/plugins", nil, &all); err != nil {
			return err
		}
		list := slices.DeleteFunc(all.Plugins, func(v version) bool { return v.Name != "edition" })
		if is(list) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the versions of edition stay %+v", list)
		}
	}
}

// replaceEdition puts a file that is another by one custom section beside
// edition's, and approves it.
func (st *stage) replaceEdition(ctx context.Context) error {
	b, err := os.ReadFile(st.path("plugins", "edition.wasm"))
	if err != nil {
		return err
	}
	file := st.path("plugins", "edition-2.wasm")
	if err := os.WriteFile(file, append(b, 0, 2, 1, 'x'), 0o600); err != nil {
		return err
	}
	_, err = st.command(ctx, "plugin", "allow", file, "--policy", st.path("policy.yaml"), "--yes")
	return err
}

// limit has the policy hold badboy to less than the host's defaults, as an
// operator would by hand.
func limit(policy string) error {
	b, err := os.ReadFile(policy)
	if err != nil {
		return err
	}
	const limits = "    limits:\n" +
		"      deadline: 3s\n      fuel: 1000000000\n      memory_mib: 64\n" +
		"      host_calls: 100000\n      output_bytes: 1048576\n"
	out := string(b)
	at := strings.Index(out, "  - name: badboy\n")
	if at < 0 {
		return errors.New("the policy doesn't name badboy:\n" + out)
	}
	at += len("  - name: badboy\n")
	return os.WriteFile(policy, []byte(out[:at]+limits+out[at:]), 0o600)
}
