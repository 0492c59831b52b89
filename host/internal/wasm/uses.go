package wasm

// Uses follow a walk and count what a function does with its locals: it decides
// how much of the stack the function takes, and how long it takes to compile.
type uses struct {
	calls, places uint32 // so far: calls, and blocks or parts of them
	locals        []use
	kept          int                // values that live across a call
	varying       int                // locals set in each loop, those in what is in it included, and values of blocks
	inLoops       map[[2]uint32]bool // which, by loop and local
	wandering     int                // locals that are taken elsewhere than where they were set
}

// A use is the last of a local.
type use struct {
	call, place uint32
	loop        uint32 // the innermost in which it is known to vary
	wanders     bool
}

func (u *uses) begin(locals int) {
	if cap(u.locals) < locals {
		u.locals = make([]use, locals)
	}
	if len(u.inLoops) > 1<<10 {
		u.inLoops = nil // clearing takes as long as what it once held, for each function
	}
	clear(u.inLoops)
	*u = uses{locals: u.locals[:locals], inLoops: u.inLoops}
	clear(u.locals)
}

func (u *uses) get(local uint32) {
	l := &u.locals[local]
	if l.call != u.calls {
		u.kept++
	}
	if l.place != u.places && !l.wanders {
		l.wanders = true
		u.wandering++
	}
	l.call, l.place = u.calls, u.places
}

func (u *uses) set(local uint32) {
	l := &u.locals[local]
	l.call, l.place = u.calls, u.places
}

// maxVarying is more than any function may have.
const maxVarying = 1 << 18

// vary notes that a local is set in all of the loops around a place. At the
// beginning of each the compiler has a value of its own for it, and works out
// which of them are the same.
func (u *uses) vary(local uint32, frames []frame) {
	innermost := frames[len(frames)-1].loop
	l := &u.locals[local]
	if l.loop == innermost || u.varying > maxVarying {
		return
	}
	l.loop = innermost
	for i := len(frames) - 1; i >= 0; i-- {
		if frames[i].op != opLoop {
			continue
		}
		at := [2]uint32{frames[i].loop, local}
		if u.inLoops[at] {
			return // and so in all around it
		}
		if u.inLoops == nil {
			u.inLoops = map[[2]uint32]bool{}
		}
		u.inLoops[at] = true
		u.varying++
	}
}

// call counts a call with so many operands beneath its own.
func (u *uses) call(beneath int) {
	u.calls++
	u.kept += beneath
}

// turn says that control may come to what follows from elsewhere, or not at
// all.
func (u *uses) turn() { u.places++ }
