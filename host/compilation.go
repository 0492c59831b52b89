package host

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// A compilation makes the plugin of a ruling, which can take seconds. Meanwhile
// the catalog goes on being refreshed: what else is loaded is called, and what
// is taken away ends.
type compilation struct {
	ruling *ruling
	// done is closed once its plugin is loaded or was refused, or isn't wanted
	// any more.
	done chan struct{}
}

// wait returns when the compilation is done, or with an error when ctx is.
func (p *compilation) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return loadingEnded(ctx)
	}
}

func loadingEnded(ctx context.Context) error {
	return abi.Errorf(abi.CodeCanceled, "the call ended while plugins were being loaded: %w", ctx.Err())
}

// begin starts the compilation of a ruling. It needs the refresher's token, and
// so it does nothing to the catalog before the refresh is over.
func (c *catalog) begin(r *ruling) *compilation {
	p := &compilation{ruling: r, done: make(chan struct{})}
	c.compilations.Go(func() { c.carryOut(p) })
	return p
}

// carryOut compiles when it is its turn, and puts what came of it into the
// catalog.
func (c *catalog) carryOut(p *compilation) {
	select {
	case c.compiling <- struct{}{}:
	case <-p.done:
		return
	}
	r := p.ruling
	c.log.Info("compiling plugin", "plugin", r.status.Name, "version", r.status.Version, "file", r.status.File)
	code, err := c.compile(r)
	<-c.compiling

	c.refreshing <- struct{}{}
	defer func() { <-c.refreshing }()
	old := c.now()
	if c.closed || old.pending[r.status.Name] != p {
		if err == nil {
			err = code.Close(context.Background()) // no call was in it
		}
		c.log.Debug("a plugin that was compiled isn't wanted any more", "plugin", r.status.Name, "error", err)
		return
	}
	next := old
	next.byName, next.pending, next.statuses = maps.Clone(old.byName), maps.Clone(old.pending), slices.Clone(old.statuses)
	delete(next.pending, r.status.Name)
	if err != nil {
		r.status.Error = abi.AsError(err)
		delete(next.byName, r.status.Name)
	} else {
		next.byName[r.status.Name] = c.loaded(r, code, nil)
	}
	next.statuses = append(next.statuses, r.status)
	slices.SortFunc(next.statuses, func(a, b PluginStatus) int { return strings.Compare(a.File, b.File) })
	c.replace(old, next)
}

// compile makes a ruling's code. Whoever waits for it may go away: it is
// compiled all the same.
func (c *catalog) compile(r *ruling) (*engine.Plugin, error) {
	return c.engine.Compile(context.Background(), r.artifact.Wasm, engine.Options{
		Modules: r.artifact.Modules(), Limits: r.limits, State: r.artifact.Manifest.State,
	})
}
