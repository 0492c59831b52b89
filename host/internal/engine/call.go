package engine

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/sallyport-dev/sallyport/abi"
)

// A Dispatch carries out an operation for a guest. op is one of abi.Ops, frame
// the guest's request, the callee's to keep. The error carries an *abi.Error;
// any other is internal to the guest. It has to return when ctx ends, for the
// call doesn't end before it does, and it never re-enters the guest.
type Dispatch func(ctx context.Context, op string, frame []byte) ([]byte, error)

// A Call is one entry of a plugin's tool.
type Call struct {
	// Tool is the tool's place in the plugin's description.
	Tool uint32
	// Request is the frame that the guest finds in its arena.
	Request []byte
	// Mounts are what stands at the paths of abi.Mounts. One that isn't given
	// is there for the guest, and closed.
	Mounts []Mount
	// Dispatch carries out operations. Nil denies all.
	Dispatch Dispatch
}

// An Answer is what a call came to. Where the call failed it holds everything
// but the Response.
type Answer struct {
	// Response is the frame that the guest answered with. Its length and place
	// were checked, what is in it was not.
	Response []byte
	// Stderr is what the guest printed to stderr and stdout, its beginning and
	// its end when it was more than is kept.
	Stderr string
	// MemoryBytes is how large the linear memory was in the end.
	MemoryBytes int64
	// Wall is how long the call took, making the sandbox included.
	Wall time.Duration
}

// state is everything that belongs to one run of one instance. It is found
// through the context and used by the goroutine that runs the guest alone.
type state struct {
	ctx      context.Context // the run's, for what gets none handed
	log      hclog.Logger
	dispatch Dispatch
	mounts   []*mount
	out      *output
	memory   *memory

	// shut is why operations and mounts are closed at present; nil when they
	// are open.
	shut *abi.Error

	pending  *pending
	errno    uint32 // what the file call under way failed with, 0 for nothing of ours
	open     map[closer]struct{}
	maxOpen  int
	deadline time.Duration // the time the call was given, 0 when it had no bound
}

// pending is the response that sallyport:call.response fetches: a frame, or an
// error that becomes one when somebody asks.
type pending struct {
	frame []byte
	err   *abi.Error
}

type stateKey struct{}

func stateOf(ctx context.Context) *state { return ctx.Value(stateKey{}).(*state) }

// closer is a file or folder that the call holds open.
type closer interface{ closeNow() }

// closeFiles closes what the guest left open. The runtime closes its table of
// descriptors too, but not when a call ends by cancellation at the last moment.
func (s *state) closeFiles() {
	for f := range s.open {
		f.closeNow()
	}
}

// sleep is the guest's, and ends with the call.
func (s *state) sleep(ns int64) {
	if ns <= 0 {
		return
	}
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// random is the guest's source of random bytes. It reads in pieces, because a
// guest may ask for as much as its memory holds.
type random struct{ ctx context.Context }

func (r random) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return rand.Read(p[:min(len(p), 1<<20)])
}
