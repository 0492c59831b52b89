package host

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A ruling is what the policy says of one file. Its status has an Error where
// the file was refused.
type ruling struct {
	status    PluginStatus
	artifact  *plugin.Artifact
	entry     policy.Entry
	effective abi.Capabilities
	limits    abi.Limits
}

// same says whether what was approved is what l was loaded as, its limits and
// settings apart.
func (r *ruling) same(l *loaded) bool {
	return l.artifact.Digest == r.artifact.Digest && reflect.DeepEqual(l.effective, r.effective)
}

// keeps says whether what l has under way may go on: nothing was taken away
// that it was granted.
func (r *ruling) keeps(l *loaded) bool {
	return r.same(l) || policy.Covers(r.entry.Grant, l.effective)
}

// judge holds a file against the policy. Nothing is compiled.
func (c *catalog) judge(path string, pol *policy.Policy, admitted map[string]*ruling) *ruling {
	r := &ruling{status: PluginStatus{
		Name: strings.TrimSuffix(filepath.Base(path), ".wasm"), File: path, State: PluginRefused,
	}}
	f := c.files[path]
	if f.err != nil {
		r.status.Error = abi.AsError(f.err)
		return r
	}
	m := f.artifact.Manifest
	r.artifact = f.artifact
	r.status.Name, r.status.Version, r.status.Description = m.Name, m.Version, m.Description
	r.status.Digest = f.artifact.Digest
	r.status.Requested = &m.Capabilities
	for _, t := range m.Tools {
		r.status.Tools = append(r.status.Tools, abi.FullName(m.Name, t.Name))
	}
	var err error
	if r.entry, err = pol.Admit(m.Name, f.artifact.Digest, path); err != nil {
		r.status.Error = abi.AsError(c.withPolicy(err))
		return r
	}
	if other := admitted[m.Name]; other != nil {
		r.status.Error = abi.Errorf(abi.CodeAlreadyExists, "plugin %s is already loaded from %s", m.Name, other.status.File).
			WithHint("remove one of the two files")
		return r
	}
	r.effective = policy.Effective(m.Capabilities, r.entry.Grant, nil)
	r.limits = mergeLimits(m.Limits, r.entry.Limits, c.defaults)
	return r
}

// load returns the plugin of a ruling: old, where that is the same, or a new
// one. It completes the status, and returns nil where the engine refuses it.
func (c *catalog) load(ctx context.Context, r *ruling, old *loaded) *loaded {
	l := old
	if old == nil || !r.same(old) || !reflect.DeepEqual(old.entry, r.entry) || old.artifact.Path != r.artifact.Path || old.ctx.Err() != nil {
		// Whoever waits for it may go away: it is compiled all the same.
		code, err := c.engine.Compile(context.WithoutCancel(ctx), r.artifact.Wasm, engine.Options{
			Modules: r.artifact.Modules(), Limits: r.limits, State: r.artifact.Manifest.State,
		})
		if err != nil {
			r.status.Error = abi.AsError(err)
			return nil
		}
		l = &loaded{artifact: r.artifact, entry: r.entry, effective: r.effective, limits: r.limits, code: code, gate: newGate()}
		l.ctx, l.revoke = context.WithCancelCause(context.Background())
		if old != nil && r.same(old) && old.ctx.Err() == nil {
			l.approval = old.approval
		} else {
			c.approvals++
			l.approval = c.approvals
		}
		l.queue = c.queue(l.name())
		l.queue.resize(l.limits.Concurrent, l.limits.Queue)
	}
	r.status.State = PluginLoaded
	r.status.Effective, r.status.Limits, r.status.config = &l.effective, &l.limits, l.entry.Config
	return l
}

func (c *catalog) queue(name string) *queue {
	q := c.queues[name]
	if q == nil {
		q = newQueue("plugin "+name, ", or have the operator raise limits.concurrent or limits.queue for it in the policy")
		c.queues[name] = q
	}
	return q
}
