package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
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

	// refreshing holds a token while somebody refreshes, which can take the
	// seconds of a compilation. What is below it is the refresher's alone.
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
	stamps      map[string]string // of the loaded plugins' files
	statuses    []PluginStatus
}

func (c *catalog) now() catalogState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// A cachedFile spares reading and hashing a file that hasn't changed.
type cachedFile struct {
	stamp    string
	artifact *plugin.Artifact
	err      error
}

// stampOf changes whenever the file may have.
func stampOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path + " absent"
	}
	return fmt.Sprintf("%s %d %d %v", path, info.Size(), info.ModTime().UnixNano(), inode(info))
}

func (c *catalog) stampAll() (string, []string, error) {
	var paths []string
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, abi.Errorf(abi.CodeUnavailable, "the plugin directory can't be read: %w", err).
			WithHint("mend the folder, or have the operator name another with --plugin-dir")
	}
	var b strings.Builder
	b.WriteString(stampOf(c.policyFile))
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".wasm" {
			continue
		}
		path := filepath.Join(c.dir, e.Name())
		paths = append(paths, path)
		b.WriteString("\n" + stampOf(path))
	}
	return b.String(), paths, nil
}

// brokenGrace is how long a policy may be unusable before what runs is ended:
// editors that save in place leave half a file for a moment. New calls are
// refused at once.
const brokenGrace = 2 * time.Second

// refresh brings the catalog up to date with the folder and the policy. A
// policy that can't be read leaves nothing admitted: default deny.
func (c *catalog) refresh(ctx context.Context) error {
	select {
	case c.refreshing <- struct{}{}:
		defer func() { <-c.refreshing }()
	case <-ctx.Done():
		return abi.Errorf(abi.CodeCanceled, "the call ended while plugins were being loaded: %w", ctx.Err())
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
		next := catalogState{byName: old.byName, statuses: old.statuses}
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
	// What was taken away ends now: a compilation can take seconds.
	for _, l := range c.running(old) {
		if r := admitted[l.name()]; r == nil || !r.keeps(l) {
			c.revoke(l)
		}
	}
	next := catalogState{stamp: seen.stamp, policyStamp: seen.policyStamp, byName: map[string]*loaded{}, stamps: map[string]string{}}
	for _, r := range rulings {
		if r.status.Error == nil {
			if l := c.load(ctx, r, old.byName[r.status.Name]); l != nil {
				next.byName[l.name()], next.stamps[l.name()] = l, c.files[r.status.File].stamp
			}
		}
		next.statuses = append(next.statuses, r.status)
	}
	c.replace(old, next)
	return nil
}

// A sight is what the folder and the policy were at one moment.
type sight struct {
	stamp       string // "" where there was no such moment
	policyStamp string
	policy      *policy.Policy
	paths       []string
}

// look reads the policy and the files. It does so again when something changed
// meanwhile, so that a file and its entry that came together are seen together.
func (c *catalog) look(stamp string, paths []string) (sight, error) {
	var last sight
	for range 10 {
		last = sight{policyStamp: stampOf(c.policyFile), paths: paths}
		var err error
		if last.policy, err = readPolicy(c.policyFile); err != nil {
			return last, err
		}
		files := map[string]cachedFile{}
		for _, path := range paths {
			cached, ok := c.files[path]
			if s := stampOf(path); !ok || cached.stamp != s {
				cached = cachedFile{stamp: s}
				cached.artifact, cached.err = plugin.Read(path)
			}
			files[path] = cached
		}
		c.files = files
		again, now, err := c.stampAll()
		if err != nil {
			break
		}
		if again == stamp {
			last.stamp = stamp
			break
		}
		stamp, paths = again, now
	}
	return last, nil
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
		if next.byName[l.name()] == nil {
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
// policy changed. The error says what to do: the tool is unknown, or its
// plugin was refused and why.
func (c *catalog) find(ctx context.Context, tool string) (*loaded, int, error) {
	pluginName, short := abi.SplitName(tool)
	state := c.now()
	l := state.byName[pluginName]
	// A plugin that is as it was needn't wait while another is compiled.
	if l == nil || state.stamp == "" || stampOf(c.policyFile) != state.policyStamp || stampOf(l.artifact.Path) != state.stamps[pluginName] {
		if err := c.refresh(ctx); err != nil {
			return nil, 0, err
		}
		state = c.now()
		l = state.byName[pluginName]
	}
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

// list returns the loaded plugins by name, and the status of every file.
func (c *catalog) list(ctx context.Context) ([]*loaded, []PluginStatus, error) {
	if err := c.refresh(ctx); err != nil {
		return nil, nil, err
	}
	state := c.now()
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
// instances, until ctx is over.
func (c *catalog) close(ctx context.Context) error {
	select {
	case c.refreshing <- struct{}{}:
		c.closed = true
		<-c.refreshing
	case <-ctx.Done():
		return fmt.Errorf("the catalog is still being refreshed: %w", ctx.Err())
	}
	c.mu.Lock()
	byName, leaving := c.state.byName, c.leaving
	c.state = catalogState{}
	c.mu.Unlock()
	ending := abi.Errorf(abi.CodeCanceled, "the host is ending")
	for _, l := range leaving { // who waits for these closes them
		l.revoke(ending)
	}
	var errs []error
	for _, l := range byName {
		l.gate.shut()
		l.revoke(ending)
		errs = append(errs, l.code.Close(ctx))
	}
	return errors.Join(errs...)
}

// readPolicy reads the whitelist. A file that isn't there is an empty list.
func readPolicy(file string) (*policy.Policy, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &policy.Policy{Version: 1}, nil
	}
	var pol *policy.Policy
	if err == nil {
		if pol, err = policy.Parse(b); err == nil {
			return pol, nil
		}
		err = strictyaml.InFile(file, err)
	}
	e := abi.Errorf(abi.CodeUnavailable, "the policy can't be used, so every plugin is refused: %s", err).WithCause(err)
	if cause, ok := errors.AsType[*abi.Error](err); ok {
		e.Message = "the policy can't be used, so every plugin is refused: " + cause.Message
		e.Hint = cause.Hint
	}
	return nil, e
}
