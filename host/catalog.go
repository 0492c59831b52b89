package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// States of a plugin in the catalog.
const (
	PluginLoaded   = "loaded"   // on the whitelist; its tools can be called
	PluginRefused  = "refused"  // not on the whitelist, changed, or not a plugin
	PluginDraining = "draining" // replaced; the calls that it has under way go on
)

// A PluginStatus is one file of the plugin directory and what became of it.
type PluginStatus struct {
	Name        string            `json:"name"`
	Version     string            `json:"version,omitempty"`
	Description string            `json:"description,omitempty"`
	File        string            `json:"file"`
	Digest      string            `json:"digest,omitempty"`
	State       string            `json:"state"`
	Error       *abi.Error        `json:"error,omitempty"` // why it was refused
	Tools       []string          `json:"tools,omitempty"`
	Requested   *abi.Capabilities `json:"requested,omitempty"`
	Effective   *abi.Capabilities `json:"effective,omitempty"`
	Limits      *abi.Limits       `json:"limits,omitempty"`
	Running     int               `json:"running"` // calls that it has under way
	Waiting     int               `json:"waiting"` // calls that wait for their turn

	config map[string]string // so that a change of it is a change of the status
}

// A catalog holds the plugins of a folder under a policy file, and keeps up
// with both. It is safe for concurrent use.
type catalog struct {
	dir, policyFile string
	engine          *engine.Engine
	defaults        abi.Limits
	log             hclog.Logger
	audit           func(audit.Entry) error
	left            func(*loaded) // called once a plugin was replaced or revoked

	// compiling holds a token while something is compiled: one at a time, for
	// what that takes of memory.
	compiling    chan struct{}
	compilations sync.WaitGroup

	// refreshing holds a token while somebody refreshes, which takes no longer
	// than files take to be read. What is below it is the refresher's alone.
	refreshing chan struct{}
	closed     bool
	files      map[string]cachedFile
	queues     map[string]*queue // of the plugins by name; their versions share one
	approvals  uint64
	broken     time.Time // since when the policy can't be used; zero while it can

	mu      sync.Mutex // guards what is below, never held for long
	state   catalogState
	leaving []*loaded // replaced or revoked, and not gone yet
}

// A catalogState is what the last refresh found. It is replaced, never changed.
type catalogState struct {
	stamp       string // of the policy file and the folder's files
	policyStamp string
	byName      map[string]*loaded
	pending     map[string]*compilation // of plugins by name, which calls wait for
	stamps      map[string]string       // of the files of both
	statuses    []PluginStatus          // of what isn't pending
}

// fresh says whether a plugin's file and the policy are as they were.
func (s catalogState) fresh(name, policyFile string) bool {
	path := ""
	if p := s.pending[name]; p != nil {
		path = p.ruling.artifact.Path
	} else if l := s.byName[name]; l != nil {
		path = l.artifact.Path
	} else {
		return false
	}
	return s.stamp != "" && stampOf(policyFile) == s.policyStamp && stampOf(path) == s.stamps[name]
}

func (c *catalog) now() catalogState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// brokenGrace is how long a policy may be unusable before what runs is ended:
// editors that save in place leave half a file for a moment. New calls are
// refused at once.
const brokenGrace = 2 * time.Second

// refresh brings the catalog up to date with the folder and the policy: what
// has to be compiled is pending then. A policy that can't be read leaves
// nothing admitted: default deny.
func (c *catalog) refresh(ctx context.Context) error {
	select {
	case c.refreshing <- struct{}{}:
		defer func() { <-c.refreshing }()
	case <-ctx.Done():
		return loadingEnded(ctx)
	}
	if c.closed {
		return abi.Errorf(abi.CodeUnavailable, "the host is ending")
	}
	stamp, paths, err := c.stampAll()
	if err != nil {
		return err
	}
	old := c.now()
	if stamp == old.stamp {
		return nil
	}
	seen, err := c.look(stamp, paths)
	if err != nil {
		if c.broken.IsZero() {
			c.broken = time.Now()
		}
		// The stamp stays empty, so that the error is met again and the
		// plugins come back as soon as the file is mended.
		next := old
		next.stamp = ""
		if time.Since(c.broken) >= brokenGrace {
			next = catalogState{}
		}
		c.replace(old, next)
		return err
	}
	c.broken = time.Time{}
	admitted := map[string]*ruling{}
	var rulings []*ruling
	for _, path := range seen.paths {
		r := c.judge(path, seen.policy, admitted)
		if r.status.Error == nil {
			admitted[r.status.Name] = r
		}
		rulings = append(rulings, r)
	}
	// What was taken away ends first.
	for _, l := range c.running(old) {
		if r := admitted[l.name()]; r == nil || !r.keeps(l) {
			c.revoke(l)
		}
	}
	next := catalogState{
		stamp: seen.stamp, policyStamp: seen.policyStamp,
		byName: map[string]*loaded{}, pending: map[string]*compilation{}, stamps: map[string]string{},
	}
	for _, r := range rulings {
		if r.status.Error != nil {
			next.statuses = append(next.statuses, r.status)
			continue
		}
		c.admit(r, old, &next)
	}
	c.replace(old, next)
	return nil
}

// withPolicy completes the command in a refusal's hint, which ends with it,
// where the policy isn't the file that the command takes by itself.
func (c *catalog) withPolicy(err error) error {
	e := *abi.AsError(err)
	if c.policyFile != "policy.yaml" && strings.HasSuffix(e.Hint, ".wasm") {
		e.Hint += " --policy " + c.policyFile
	}
	return &e
}

// replace takes the next state, audits what changed and revokes what is gone.
func (c *catalog) replace(old, next catalogState) {
	c.mu.Lock()
	c.state = next
	c.mu.Unlock()
	for name, p := range old.pending {
		if next.pending[name] != p {
			close(p.done)
		}
	}
	for _, s := range next.statuses {
		if i := slices.IndexFunc(old.statuses, func(o PluginStatus) bool { return o.File == s.File }); i >= 0 && reflect.DeepEqual(old.statuses[i], s) {
			continue
		}
		e := audit.Entry{Kind: audit.KindPluginAdmit, Plugin: s.Name, Digest: s.Digest, Detail: map[string]string{"file": s.File}}
		if s.Error == nil {
			c.log.Info("plugin admitted", "plugin", s.Name, "version", s.Version, "digest", s.Digest)
		} else {
			c.log.Warn("plugin refused", "plugin", s.Name, "file", s.File, "reason", s.Error.Message)
			e.Kind, e.Code, e.Message = audit.KindPluginRefuse, s.Error.Code.String(), s.Error.Message
		}
		c.witness(e)
	}
	for name, l := range old.byName {
		switch now := next.byName[name]; {
		case now == l:
		case now == nil:
			c.revoke(l)
		default:
			c.leave(l)
		}
	}
	for _, l := range c.running(catalogState{}) {
		if next.byName[l.name()] == nil && next.pending[l.name()] == nil {
			c.revoke(l)
		}
	}
}

// running lists the plugins of a state and those that were replaced and aren't
// gone.
func (c *catalog) running(s catalogState) []*loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.AppendSeq(slices.Clone(c.leaving), maps.Values(s.byName))
}

// revoke ends what a plugin has under way.
func (c *catalog) revoke(l *loaded) {
	if l.ctx.Err() != nil {
		return
	}
	l.revoke(abi.Errorf(abi.CodePermissionDenied, "plugin %s was revoked, or its file or its grant changed, while it ran", l.name()))
	c.witness(audit.Entry{Kind: audit.KindPluginRevoke, Plugin: l.name(), Digest: l.artifact.Digest})
	c.leave(l)
}

// leave lets no more calls into a plugin. Those that it has under way go on.
func (c *catalog) leave(l *loaded) {
	if !l.gate.shut() {
		return
	}
	if l.ctx.Err() == nil {
		c.witness(audit.Entry{Kind: audit.KindPluginReplace, Plugin: l.name(), Digest: l.artifact.Digest})
	}
	c.mu.Lock()
	c.leaving = append(c.leaving, l)
	c.mu.Unlock()
	c.left(l)
}

// gone forgets a plugin that has nothing under way any more. It says whether it
// was the last of its approval.
func (c *catalog) gone(l *loaded) (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = slices.DeleteFunc(c.leaving, func(o *loaded) bool { return o == l })
	same := func(o *loaded) bool { return o.approval == l.approval && o != l }
	now := c.state.byName[l.name()]
	return !slices.ContainsFunc(c.leaving, same) && (now == nil || !same(now))
}

// witness audits a change of the catalog. Where that fails the change stands:
// a call audits its own start, so nothing unaudited runs.
func (c *catalog) witness(e audit.Entry) {
	if err := c.audit(e); err != nil {
		c.log.Error("a change of the catalog could not be audited", "kind", e.Kind, "plugin", e.Plugin, "error", err)
	}
}

// find returns the plugin of a tool, after a look at whether its file or the
// policy changed. While that plugin is being compiled it waits, and for no
// other. The error says what to do: the tool is unknown, or its plugin was
// refused and why.
func (c *catalog) find(ctx context.Context, tool string) (*loaded, int, error) {
	pluginName, short := abi.SplitName(tool)
	state := c.now()
	for {
		if !state.fresh(pluginName, c.policyFile) {
			if err := c.refresh(ctx); err != nil {
				return nil, 0, err
			}
			state = c.now()
		}
		p := state.pending[pluginName]
		if p == nil {
			break
		}
		if err := p.wait(ctx); err != nil {
			return nil, 0, err
		}
		state = c.now()
	}
	l := state.byName[pluginName]
	if l != nil {
		for i, t := range l.artifact.Manifest.Tools {
			if t.Name == short {
				return l, i, nil
			}
		}
	}
	for _, s := range state.statuses {
		if l == nil && s.State == PluginRefused && s.Name == pluginName {
			return nil, 0, s.Error
		}
	}
	return nil, 0, abi.Errorf(abi.CodeNotFound, "there is no tool %q", tool).
		WithHint("GET /v1/tools lists those there are")
}

// settled refreshes, and waits until nothing is pending.
func (c *catalog) settled(ctx context.Context) (catalogState, error) {
	for {
		if err := c.refresh(ctx); err != nil {
			return catalogState{}, err
		}
		state := c.now()
		if len(state.pending) == 0 {
			return state, nil
		}
		for _, p := range state.pending {
			if err := p.wait(ctx); err != nil {
				return catalogState{}, err
			}
		}
	}
}

// list returns the loaded plugins by name, and the status of every file, once
// what is there is compiled.
func (c *catalog) list(ctx context.Context) ([]*loaded, []PluginStatus, error) {
	state, err := c.settled(ctx)
	if err != nil {
		return nil, nil, err
	}
	plugins := make([]*loaded, 0, len(state.byName))
	for _, l := range state.byName {
		plugins = append(plugins, l)
	}
	slices.SortFunc(plugins, func(a, b *loaded) int { return strings.Compare(a.name(), b.name()) })
	return plugins, c.statuses(state), nil
}

// statuses are those of every file, and of the versions that were replaced and
// still have calls under way.
func (c *catalog) statuses(state catalogState) []PluginStatus {
	list := slices.Clone(state.statuses)
	draining := map[string]int{} // calls of replaced versions, by name
	for _, l := range c.running(catalogState{}) {
		n := l.gate.count()
		draining[l.name()] += n
		if l.ctx.Err() == nil {
			m := l.artifact.Manifest
			list = append(list, PluginStatus{
				Name: m.Name, Version: m.Version, Description: m.Description, File: l.artifact.Path, Digest: l.artifact.Digest,
				State: PluginDraining, Effective: &l.effective, Limits: &l.limits, Running: n,
			})
		}
	}
	for i, s := range state.statuses {
		if l := state.byName[s.Name]; l != nil && s.State == PluginLoaded {
			placed, waiting := l.queue.counts()
			list[i].Running = l.gate.count()
			list[i].Waiting = max(waiting+placed-list[i].Running-draining[s.Name], 0) // some wait in the host's queue
		}
	}
	return list
}

// watch refreshes until ctx ends, so that a revocation reaches what runs. It
// reports each new error once.
func (c *catalog) watch(ctx context.Context, report func(error)) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := c.refresh(ctx)
		if err == nil {
			last = ""
		} else if err.Error() != last && ctx.Err() == nil {
			last = err.Error()
			report(err)
		}
	}
}

// close lets nobody refresh any more, revokes every plugin and waits for their
// instances and for what is being compiled, until ctx is over.
func (c *catalog) close(ctx context.Context) error {
	select {
	case c.refreshing <- struct{}{}:
		c.closed = true
		<-c.refreshing
	case <-ctx.Done():
		return fmt.Errorf("the catalog is still being refreshed: %w", ctx.Err())
	}
	c.mu.Lock()
	byName, pending, leaving := c.state.byName, c.state.pending, c.leaving
	c.state = catalogState{}
	c.mu.Unlock()
	ending := abi.Errorf(abi.CodeCanceled, "the host is ending")
	for _, p := range pending {
		close(p.done)
	}
	for _, l := range leaving { // who waits for these closes them
		l.revoke(ending)
	}
	var errs []error
	for _, l := range byName {
		l.gate.shut()
		l.revoke(ending)
		errs = append(errs, l.code.Close(ctx))
	}
	errs = append(errs, waitFor(ctx, &c.compilations))
	return errors.Join(errs...)
}
