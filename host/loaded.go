package host

import (
	"context"
	"sync"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A loaded plugin has passed the whitelist. It is immutable: a change of its
// file or its entry makes another. The new one gets the calls that begin from
// then on, and those that the old one has under way go on in it, unless it was
// revoked: then they end.
type loaded struct {
	artifact  *plugin.Artifact
	approval  uint64 // numbers approvals: another file or grant is another one
	entry     policy.Entry
	effective abi.Capabilities
	limits    abi.Limits
	code      *engine.Plugin
	queue     *queue // of the calls of all its versions
	gate      *gate  // of its own calls

	ctx    context.Context // ends when the plugin is revoked
	revoke context.CancelCauseFunc
}

func (l *loaded) name() string { return l.artifact.Manifest.Name }

// A gate counts the calls inside, and once shut lets no more in. It is safe for
// concurrent use.
type gate struct {
	empty chan struct{} // closed when it is shut and nobody is inside

	mu     sync.Mutex
	closed bool
	inside int
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.closed {
		close(g.empty)
	}
}

// shut says whether the gate was open before.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.closed = true
	if g.inside == 0 {
		close(g.empty)
	}
	return true
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}
