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

// equals says whether a plugin of this file, with these grants of this entry, is
// what the ruling is about.
func (r *ruling) equals(a *plugin.Artifact, effective abi.Capabilities, e policy.Entry) bool {
	return a.Digest == r.artifact.Digest && a.Path == r.artifact.Path && reflect.DeepEqual(effective, r.effective) && reflect.DeepEqual(e, r.entry)
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

// admit puts the plugin of a ruling into the next state: the old one, where
// that is the same, a new one where the code is in memory, and else a
// compilation of it. Until that is done the old one, unless it was revoked,
// keeps its place: the new one may be refused, and calls wait for that.
func (c *catalog) admit(r *ruling, old catalogState, next *catalogState) {
	name := r.status.Name
	l, p := old.byName[name], old.pending[name]
	if l != nil && l.ctx.Err() != nil {
		l = nil
	}
	next.stamps[name] = c.files[r.status.File].stamp
	switch {
	case l != nil && r.equals(l.artifact, l.effective, l.entry):
		r.load(l)
		next.byName[name] = l
	case l != nil && l.artifact.Digest == r.artifact.Digest:
		if code, err := c.compile(r); err != nil {
			r.status.Error = abi.AsError(err)
		} else {
			next.byName[name] = c.loaded(r, code, l)
		}
	default:
		if p == nil || !r.equals(p.ruling.artifact, p.ruling.effective, p.ruling.entry) {
			p = c.begin(r)
		}
		if l != nil {
			next.byName[name] = l
		}
		next.pending[name] = p
		return
	}
	next.statuses = append(next.statuses, r.status)
}

// loaded is the plugin of a ruling and its code. It has the approval of the one
// before it, nil for none, where that was approved as it is.
func (c *catalog) loaded(r *ruling, code *engine.Plugin, old *loaded) *loaded {
	l := &loaded{artifact: r.artifact, entry: r.entry, effective: r.effective, limits: r.limits, code: code, gate: newGate()}
	l.ctx, l.revoke = context.WithCancelCause(context.Background())
	if old != nil && r.same(old) {
		l.approval = old.approval
	} else {
		c.approvals++
		l.approval = c.approvals
	}
	l.queue = c.queue(l.name())
	l.queue.resize(l.limits.Concurrent, l.limits.Queue)
	r.load(l)
	return l
}

// load completes the status.
func (r *ruling) load(l *loaded) {
	r.status.State = PluginLoaded
	r.status.Effective, r.status.Limits, r.status.config = &l.effective, &l.limits, l.entry.Config
}

func (c *catalog) queue(name string) *queue {
	q := c.queues[name]
	if q == nil {
		q = newQueue("plugin "+name, true)
		c.queues[name] = q
	}
	return q
}
