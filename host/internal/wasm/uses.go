package wasm

// Uses follow a walk and count what a function does with its locals: it decides
// how much of the stack the function takes, and how long it takes to compile.
type uses struct {
	calls, places uint32 // so far: calls, and blocks or parts of them
	locals        []use
	kept          int // values that live across a call
	wandering     int // locals that are taken elsewhere than where they were set
}

// A use is the last of a local.
type use struct {
	call, place uint32
	wanders     bool
}

func (u *uses) begin(locals int) {
	if cap(u.locals) < locals {
		u.locals = make([]use, locals)
	}
	*u = uses{locals: u.locals[:locals]}
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

// call counts a call with so many operands beneath its own.
func (u *uses) call(beneath int) {
	u.calls++
	u.kept += beneath
}

// turn says that control may come to what follows from elsewhere, or not at
// all.
func (u *uses) turn() { u.places++ }
