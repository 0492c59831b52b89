package engine

import (
	"context"
	"crypto/rand"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Dispatch carries out an operation for a guest. op is one of abi.Ops, frame
// the guest's request, the callee's to keep. The error carries an *abi.Error;
// any other is internal to the guest. It has to return when ctx ends, for the
// call doesn't end before it does, and it never re-enters the guest. A call of
// another plugin's that is made with ctx, or one derived from it, takes from
// this call's limits on fuel, host calls and host bytes, too.
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
	// Session is whose instance runs the call, under abi.StateSession.
	Session string
	// Clock and Random stand for the real ones, so that a call can be played
	// again as it was. They serve _initialize too, and so the plugin's Options
	// have to say Plain. Nil is the real ones.
	Clock  func() time.Time
	Random io.Reader
	// Sleep is what the guest does where it sleeps. Nil waits for as long.
	Sleep func(time.Duration)
}

// How a call came by its instance.
const (
	SandboxReset   = "reset"   // one that served before and was put back to the snapshot
	SandboxFork    = "fork"    // a new one, made of the snapshot
	SandboxPlain   = "plain"   // a new one, initialised for the call
	SandboxSession = "session" // the session's own, as its last call left it
)

// Usage is what a call took, whatever it came to.
type Usage struct {
	Sandbox string
	// Wall is how long the call took, making the sandbox included. Guest is the
	// part of it that was spent in the plugin's code rather than the host's.
	Wall, Guest time.Duration
	// Fuel is the work that was done; see abi.Limits.
	Fuel int64
	// HostCalls and HostBytes are the calls of imports and what went through
	// them, those of calls of other plugins' tools included.
	HostCalls, HostBytes int64
	// OutputBytes is the size of the answer, MemoryBytes that of the linear
	// memory in the end, and TableElements that of all tables.
	OutputBytes, MemoryBytes, TableElements int64
	// StackBytes is the deepest stack that was seen. It is looked at now and
	// then as the guest computes, so a short call may show none.
	StackBytes int64
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
	Usage  Usage
}

// state is everything that belongs to one run of one instance. It is found
// through the context and used by the goroutine that runs the guest alone, the
// budget excepted.
type state struct {
	ctx      context.Context // the run's, for what gets none handed
	log      hclog.Logger
	dispatch Dispatch
	budget   *budget
	started  time.Time
	clock    func() time.Time // nil is the real one
	random   io.Reader        // nil is the real one
	asleep   func(time.Duration)
	out      output

	// shut is why operations and mounts are closed at present; nil when they
	// are open.
	shut *abi.Error

	pending  *pending
	errno    uint32 // what the file call under way failed with, 0 for nothing of ours
	open     map[closer]struct{}
	maxOpen  int
	deadline time.Duration // the time the call was given, 0 when it had no bound

	slice     int64 // of fuel, that the guest was given last
	stackLeft int64 // the least that was seen, in bytes
	entered   time.Time
	yielded   time.Time        // when others had the thread last
	guest     time.Duration    // in the plugin's code, up to entered
	altered   bool             // the guest did something to its descriptors that stays
	turn      *sessionInstance // that the run has; nil where it has none
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

func (s *state) opened(c closer) {
	if s.open == nil {
		s.open = map[closer]struct{}{}
	}
	s.open[c] = struct{}{}
}

// closeFiles closes what the guest left open. The runtime closes its table of
// descriptors too, but not when a call ends by cancellation at the last moment.
func (s *state) closeFiles() {
	for f := range s.open {
		f.closeNow()
	}
}

// enterHost is called as an import begins: it counts it, stops a guest whose
// time is over, and stops the guest's own clock until leaveHost.
func (s *state) enterHost() {
	s.guest += time.Since(s.entered)
	s.checkTime()
	s.budget.takeHostCall()
}

func (s *state) leaveHost() { s.entered = time.Now() }

// now is the guest's time of day.
func (s *state) now() time.Time {
	if s.clock != nil {
		return s.clock()
	}
	return time.Now()
}

// sleep is the guest's, and ends with the call.
func (s *state) sleep(ns int64) {
	if ns <= 0 {
		return
	}
	if s.asleep != nil {
		s.asleep(time.Duration(ns))
		return
	}
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// draw fills p with random bytes, or the beginning of it: it reads in pieces,
// because a guest may ask for as much as its memory holds.
func (s *state) draw(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	p = p[:min(len(p), 1<<20)]
	s.budget.takeHostBytes(len(p))
	if s.random != nil {
		return s.random.Read(p)
	}
	return rand.Read(p)
}
