package wasm

// signature returns how many operands a block takes and leaves.
func (w *walk) signature(in *instruction) (params, results int) {
	switch in.b {
	case 0:
		s := w.typ(in.a)
		return len(s.Params), len(s.Results)
	case 0x40:
		return 0, 0
	}
	if typeNames[byte(in.b)] == "" {
		w.fail("the unknown value type %#x", in.b)
	}
	return 0, 1
}

func (w *walk) open(in *instruction, at int) {
	params, results := w.signature(in)
	if in.op == opIf {
		w.pop(1)
	}
	w.pop(params)
	outer := w.top()
	f := frame{op: in.op, params: params, results: results, height: w.height, dead: outer.dead, loop: outer.loop, wraps: outer.wraps}
	if len(w.frames) >= maxNesting {
		w.exceeds("its blocks are nested deeper than %d", maxNesting)
		return
	}
	switch in.op {
	case opIf:
		w.meter.spend(1 + params + results)
		if !f.dead {
			f.otherwise = w.meter.close(false)
			w.meter.open(w.at, f.otherwise)
		}
	case opLoop:
		w.loops++
		f.loop = w.loops
		if !f.dead {
			first := len(w.meter.regions) == 0 && !w.calls
			w.wrap(&f, at, first)
			in := w.meter.close(false)
			w.meter.loop = f.loop
			w.meter.openTurn(w.at, in)
		}
	}
	f.place, f.serial = len(w.frames), uint32(w.blocks)
	w.dispatch.open(in, at, w.at, f.place)
	w.uses.varying += params + results
	w.weight += weightBlock + weightValue*(params+results)
	w.blocks++
	if in.op == opLoop {
		w.weight += weightLoop
		w.blocks += 4
	}
	w.frames = append(w.frames, f)
	w.push(params)
}

// leaves checks what is left where a block ends.
func (w *walk) leaves(f *frame) {
	if w.pop(f.results); w.err == nil && w.height != f.height {
		w.fail("%d operands are left over", w.height-f.height)
	}
}

// turn goes on with the other half of an if.
func (w *walk) turn() {
	f := w.top()
	if f.op != opIf {
		w.fail("an else without an if")
		return
	}
	w.leaves(f)
	if !f.dead {
		w.meter.spend(f.results)
		f.label.join(w.meter.close(false))
	}
	f.op, f.dead = opElse, !f.otherwise.live
	if !f.dead {
		w.meter.open(w.at, f.otherwise)
	}
	f.otherwise = flow{}
	w.push(f.params)
}

func (w *walk) close(at int) {
	f := *w.top()
	if f.wrapped {
		w.edit(edit{at: at, until: w.at, kind: editEnd})
	}
	w.leaves(&f)
	if f.op == opIf && f.params != f.results {
		w.fail("an if without an else takes %d operands and leaves %d", f.params, f.results)
	}
	w.frames = w.frames[:len(w.frames)-1]
	if len(w.frames) == 0 {
		if !f.dead {
			w.meter.close(false)
		}
		return
	}
	outer := w.top()
	in := f.label
	in.join(f.otherwise)
	switch {
	case !f.dead && !in.live && f.op != opLoop: // the same block goes on
		outer.dead = false
	default:
		if !f.dead {
			w.meter.spend(f.results)
			in.join(w.meter.close(false))
		}
		w.meter.loop = outer.loop
		if outer.dead = !in.live; in.live {
			w.meter.open(w.at, in)
		}
	}
	w.push(f.results)
}

func (w *walk) target(depth uint32) *frame {
	if uint64(depth) >= uint64(len(w.frames)) {
		w.fail("a branch out of %d blocks, and %d are open", uint64(depth)+1, len(w.frames))
		return nil
	}
	return &w.frames[len(w.frames)-1-int(depth)]
}

func (w *walk) branch(in *instruction, at int) {
	switch in.op {
	case opReturn:
		n := w.frames[0].results
		w.pop(n)
		w.meter.spend(1 + n)
		w.leave(nil)
	case opBr:
		if t := w.target(in.a); t != nil {
			t = w.redirect(t, at)
			w.pop(t.arity())
			w.meter.spend(1 + t.arity())
			w.targets = append(w.targets[:0], t)
			w.leave(w.targets)
		}
	case opBrIf:
		w.pop(1)
		t := w.target(in.a)
		if t == nil {
			return
		}
		w.redirect(t, at)
		w.pop(t.arity())
		w.push(t.arity())
		w.weight += weightBlock + weightValue*t.arity()
		w.blocks++
		w.meter.spend(1 + t.arity())
		if w.top().dead {
			return
		}
		out := w.meter.close(false)
		if t.op != opLoop {
			t.label.join(out)
		}
		w.meter.open(w.at, out)
	case opBrTable:
		w.brTable(in, at)
	}
}

func (w *walk) brTable(in *instruction, at int) {
	w.pop(1)
	w.targets = w.targets[:0]
	from, moved := len(w.branches), false
	for range uint64(in.a) + 1 {
		to := in.targets.u32()
		t := w.target(to)
		if t == nil {
			return
		}
		over := w.top().wraps - t.wraps
		moved = moved || over > 0
		w.branches = append(w.branches, to+over)
		w.targets = append(w.targets, t)
		if t.arity() != w.targets[0].arity() {
			w.fail("the targets of a br_table take %d and %d operands", w.targets[0].arity(), t.arity())
			return
		}
	}
	if moved {
		w.edit(edit{at: at, until: w.at, kind: editTable, index: uint32(from), count: in.a})
	} else {
		w.branches = w.branches[:from]
	}
	w.switched(at)
	n := w.targets[0].arity()
	w.pop(n)
	w.weight += len(w.targets) * (1 + weightValue*n)
	w.blocks += len(w.targets) / 8
	w.meter.spend(1 + n)
	w.leave(w.targets)
}

// leave ends a block whose control goes to one of these targets, or out of the
// function, and nowhere else.
func (w *walk) leave(targets []*frame) {
	f := w.top()
	if !f.dead {
		// A target within the function that is ahead charges what this block leaves to it.
		ahead := len(targets) > 0
		for _, t := range targets {
			ahead = ahead && t.op != opLoop && t != &w.frames[0]
		}
		out := w.meter.close(ahead)
		for _, t := range targets {
			if t.op != opLoop {
				t.label.join(out)
			}
		}
	}
	f.dead = true
	w.height = f.height
}

// wrap puts a loop into another of the same type, in which the checkpoint is
// reached: what a call keeps from registers, it keeps there, and the loop
// itself has but a branch that is never taken.
func (w *walk) wrap(f *frame, at int, first bool) {
	f.wraps++
	f.wrapped = true
	e := edit{at: at, until: w.at, kind: editLoop}
	if first {
		w.firstLoop, e.index = true, 1
	}
	w.edit(e)
}

// redirect returns where a branch is to go, and edits it if that isn't t, or is
// further out than it was.
func (w *walk) redirect(t *frame, at int) *frame {
	t, threaded := w.thread(t, at)
	if over := w.top().wraps - t.wraps; threaded || over > 0 {
		w.edit(edit{at: at, until: w.at, kind: editBranch, index: uint32(len(w.frames)-1-t.place) + over})
	}
	return t
}
