package wasm

// How work is charged. The fuel of a stretch of code is taken where it begins.
// To take it less often, blocks that follow one another are charged as one
// where all ways into the later lead through the earlier: what a branch may
// skip was then charged for nothing, and mergeUnits bounds it.
const (
	mergeUnits = 16     // that a region may charge for nothing
	carryUnits = 8      // that a jump may leave to its target to charge
	spanUnits  = 16_000 // at most from check to check within a function
	leafUnits  = 256    // of a function that has no check
	prepaid    = 3      // that a call pays of what the function does first
)

// A flow is what is known where control goes on. Of several that join, the
// worst counts.
type flow struct {
	live   bool
	region int // the region that it comes from, -1 for several
	path   int // units from its beginning, on the longest way
	since  int // units since the last check
	tail   int // units since the last call behind which there was no check, -1 for none
	carry  int // units that nobody charged yet
}

func (f *flow) join(g flow) {
	switch {
	case !g.live:
		return
	case !f.live:
		*f = g
		return
	case f.region != g.region:
		f.region = -1
	}
	f.path, f.since = max(f.path, g.path), max(f.since, g.since)
	f.tail, f.carry = max(f.tail, g.tail), max(f.carry, g.carry)
}

// A region is code that is charged at its beginning.
type region struct {
	at     int // in the body
	charge int
	check  bool
	loop   uint32 // the innermost around it
}

// A meter follows a walk and divides the body into regions. Between open and
// close there is a block: code that is run from its beginning to its end.
type meter struct {
	regions []region
	loop    uint32 // the innermost at this point
	tailMax int

	live  bool // whether a block is open
	entry flow
	at    int
	units int
	alone bool // the block may not be charged with the one before
	check bool
	inner uint32 // the innermost loop around the block
	since int
	tail  int

	spare int // units that the last region may charge for nothing
}

func (m *meter) begin(at, tailMax int) {
	*m = meter{regions: m.regions[:0], tailMax: tailMax}
	m.open(at, flow{live: true, region: -1, tail: -1, carry: -prepaid})
}

// open begins a block where control comes from in.
func (m *meter) open(at int, in flow) {
	m.live, m.entry, m.at, m.units, m.inner = true, in, at, in.carry, m.loop
	m.alone, m.check = false, false
	m.since, m.tail = in.since, in.tail
}

// openChecked begins a block with a check.
func (m *meter) openChecked(at int, in flow) {
	in.since, in.tail = 0, -1
	m.open(at, in)
	m.alone, m.check = true, true
}

// openTurn begins the block that begins a loop, which checks before it.
func (m *meter) openTurn(at int, in flow) {
	in.since, in.tail, in.carry = 0, -1, 0
	m.open(at, in)
	m.alone = true
}

// spend counts units of the open block.
func (m *meter) spend(n int) {
	if !m.live {
		return
	}
	m.units += n
	m.since += n
	if m.tail >= 0 {
		m.tail += n
	}
}

// called counts a call. Of an unknown function it can't be said how far back
// its last check is, nor how many such calls return at once.
func (m *meter) called(own bool) {
	if !m.live {
		return
	}
	m.since += leafUnits
	if own {
		m.tail = 0
	}
}

// step puts a check before the instruction at at where the last is too far
// back.
func (m *meter) step(at int) {
	if m.live && (m.since > spanUnits || m.tail > m.tailMax) {
		m.openChecked(at, m.close(false))
	}
}

// close ends the block and returns how control goes on. Where it can go only to
// blocks that begin regions of their own, what it cost may be left to them.
func (m *meter) close(leave bool) flow {
	m.live = false
	out := flow{live: true, since: m.since, tail: m.tail}
	last := len(m.regions) - 1
	if !m.alone && last >= 0 && m.entry.region == last && m.regions[last].loop == m.inner && m.spare+m.units <= mergeUnits {
		m.spare += m.units
		out.region, out.path = last, m.entry.path+m.units
		m.regions[last].charge = max(m.regions[last].charge, out.path)
		return out
	}
	out.region, out.path = last+1, m.units
	if leave && m.units > 0 && m.units <= carryUnits {
		out.path, out.carry = 0, m.units
	}
	m.regions = append(m.regions, region{at: m.at, charge: max(0, out.path), check: m.check, loop: m.inner})
	m.spare = 0
	return out
}

// frameWords are the return address, the frame pointer and the registers that
// a function saves for its caller.
const frameWords = 25

// tailMax is how many units a function may do after a call without a check.
// Many calls may return at once: bound to the size of a frame, what they do
// together is bounded by the stack.
func tailMax(locals int) int { return 8 * (frameWords + locals) }
