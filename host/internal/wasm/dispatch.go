package wasm

// Go has jumps where WebAssembly has none. Its compiler makes a function a loop
// that begins with a switch over the number of the block to go to, and a jump
// the setting of that number and a branch to the loop. Where such a jump goes
// forward it can go there at once, past the check of the loop and the switch:
// that saves about what metering costs.

// A dispatch follows a walk, and finds such loops and jumps.
type dispatch struct {
	loop   int // the place of a loop's frame that may begin so
	until  int // where it does so far
	local  uint32
	loaded bool // whether that was the taking of the local

	value    uint32 // a constant
	valued   int    // where it ended
	set      uint32 // the local that was set to it
	assigned int    // where that ended

	switches []jumpTable
}

// A jumpTable is the switch that a loop begins with.
type jumpTable struct {
	local uint32
	to    []destination // the last is for all other numbers
}

// A destination is a block, by the place of its frame and its serial.
type destination struct {
	place  int
	serial uint32
}

func (d *dispatch) begin() {
	*d = dispatch{switches: d.switches[:0], until: -1, valued: -1, assigned: -1}
}

func (d *dispatch) open(in *instruction, at, until, place int) {
	switch {
	case in.b != blockEmpty:
	case in.op == opLoop:
		d.loop, d.until, d.loaded = place, until, false
	case in.op == opBlock && at == d.until && !d.loaded:
		d.until = until
	}
}

func (d *dispatch) localGet(local uint32, at, until int) {
	if at == d.until && !d.loaded {
		d.local, d.until, d.loaded = local, until, true
	}
}

func (d *dispatch) constant(v uint32, until int) { d.value, d.valued = v, until }

func (d *dispatch) localSet(local uint32, at, until int) {
	if at == d.valued {
		d.set, d.assigned = local, until
	}
}

// switched notes the switch by which the loop around it begins, if it is one.
func (w *walk) switched(at int) {
	d := &w.dispatch
	if at != d.until || !d.loaded {
		return
	}
	t := jumpTable{local: d.local, to: make([]destination, len(w.targets))}
	for i, f := range w.targets {
		t.to[i] = destination{f.place, f.serial}
	}
	d.switches = append(d.switches, t)
	w.frames[d.loop].switches = len(d.switches)
}

// thread returns where a branch to t ends up that is a jump forward by way of a
// switch. Nothing but the local is seen on the way.
func (w *walk) thread(t *frame, at int) (*frame, bool) {
	d := &w.dispatch
	if t.switches == 0 || at != d.assigned {
		return t, false
	}
	table := d.switches[t.switches-1]
	to := table.to[min(uint64(d.value), uint64(len(table.to)-1))]
	if table.local != d.set || to.place <= t.place || to.place >= len(w.frames) || w.frames[to.place].serial != to.serial {
		return t, false
	}
	return &w.frames[to.place], true
}
