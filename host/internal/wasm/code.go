package wasm

import "fmt"

// readCode walks over every function, and writes what is to be run.
func (w *rewriting) readCode() error {
	s := w.sections[sectionCode]
	r := &reader{b: s.body, base: s.at, what: sectionNames[sectionCode]}
	var bodies []reader
	if s.there {
		bodies = make([]reader, r.count("functions", maxFunctions))
	}
	if own := len(w.Functions) - w.importedFunctions; r.err == nil && len(bodies) != own {
		r.fail("it has %d bodies, and %d functions are declared", len(bodies), own)
	}
	for i := range bodies {
		size := r.u32()
		if size > maxFunctionBytes {
			r.exceeds("function %d has %d bytes, the bound is %d", w.importedFunctions+i, size, maxFunctionBytes)
		}
		bodies[i] = r.within(size)
		if r.err != nil {
			return r.err
		}
	}
	if s.there {
		r.end()
	}
	if r.err != nil {
		return r.err
	}
	w.findLeaves(bodies)
	k := &walk{rewriting: w}
	w.code = make([]byte, 0, len(s.body)+len(s.body)/4)
	for i, body := range bodies {
		k.index = uint32(w.importedFunctions + i)
		if k.run(body, ""); k.err != nil {
			if name := w.name(k.index); name != "" {
				k.run(body, " ("+name+")")
			}
			return k.err
		}
	}
	return nil
}

// run walks over one function and writes it.
func (w *walk) run(body reader, name string) {
	w.reader = body
	w.what = fmt.Sprintf("function %d%s", w.index, name)
	d := w.declared(&w.reader, w.index)
	w.locals, w.wide = d.locals, d.wide
	from := w.at
	if w.all += d.locals; w.err == nil && w.all > maxAllLocals {
		w.exceeds("with it the module has more than %d locals", maxAllLocals)
	}
	if w.err == nil {
		w.body()
	}
	switch {
	case w.err != nil:
	case w.Unmetered:
		w.code = appendBytes(w.code, body.b)
	default:
		w.write(body.b, d.groups, from)
	}
}

// A declaration is how many locals a function has: its parameters included,
// those that are vectors, and the groups that they are declared in.
type declaration struct{ locals, wide, groups uint32 }

func (w *rewriting) declared(r *reader, index uint32) (d declaration) {
	params := w.Types[w.Functions[index]].Params
	d.locals = uint32(len(params))
	for i := range params {
		if params[i] == V128 {
			d.wide++
		}
	}
	d.groups = r.count("groups of locals", maxLocals)
	for range d.groups {
		n, t := r.u32(), r.valueType()
		if n > maxLocals || d.locals+n > maxLocals {
			r.exceeds("it has more than %d locals", maxLocals)
		}
		if r.err != nil {
			break
		}
		d.locals += n
		if t == V128 {
			d.wide += n
		}
	}
	return d
}

// findLeaves finds the functions that need no check of their own: those that
// are short, have no loop, and call none of the module's.
func (w *rewriting) findLeaves(bodies []reader) {
	w.leaves = make([]bool, len(bodies))
	for i, r := range bodies {
		d := w.declared(&r, uint32(w.importedFunctions+i))
		units := int(d.locals + d.wide)
		for leaf := true; leaf && units < leafUnits; {
			if r.left() == 0 {
				w.leaves[i] = r.err == nil
				break
			}
			var in instruction
			r.instruction(&in)
			units++
			switch in.op {
			case opLoop, opCallIndirect:
				leaf = false
			case opCall:
				if leaf = uint64(in.a) < uint64(w.importedFunctions); leaf {
					sig := w.Types[w.Functions[in.a]]
					units += len(sig.Params) + len(sig.Results)
				}
			}
		}
	}
}

// leaf tells whether a function has no check, of which a call's work is then
// bounded by leafUnits. What is imported counts itself.
func (w *rewriting) leaf(index uint32) bool {
	own := int(index) - w.importedFunctions
	return own < 0 || w.leaves[own]
}

// An edit replaces bytes of a body.
type edit struct {
	at, until int // in the body
	kind      editKind
	index     uint32
	count     uint32 // of a table
}

type editKind byte

const (
	editCall    editKind = iota // calls the function index, which may call in its turn
	editLeaf                    // calls the function index
	editDepth                   // sets the depth
	editRefFunc                 // takes the function index
	editHelper                  // calls the helper index
	editLoop                    // a loop in another; index is 1 for the first of the function
	editEnd                     // the ends of both
	editBranch                  // branches out of index blocks
	editTable                   // branches by the count+1 targets at index
)

func (w *walk) edit(e edit) { w.edits = append(w.edits, e) }

// write appends the function's code as it is to be run. from is where in the
// body the instructions begin.
func (w *walk) write(body []byte, groups uint32, from int) {
	leaf := w.leaf(w.index)
	deep := w.calls || !leaf && w.frameBytes() > freeBytes
	depth := -1 // the local that has it
	c := w.buffer[:0]
	rest := body[:from]
	if deep {
		depth = int(w.locals)
		_, n := splitLEB(rest)
		c = append(appendLEB(c, groups+1), rest[n:]...)
		c = append(c, 1, I64)
	} else {
		c = append(c, rest...)
	}
	at := from
	edits := w.edits
	for i, r := range w.meter.regions {
		for len(edits) > 0 && edits[0].at < r.at {
			c = append(c, body[at:edits[0].at]...)
			c = w.apply(c, body, edits[0], depth)
			at = edits[0].until
			edits = edits[1:]
		}
		c = append(c, body[at:r.at]...)
		at = r.at
		c = w.charge(c, r.charge)
		switch {
		case i == 0 && deep && w.firstLoop:
			c = w.frame(c).set(uint32(depth))
		case i == 0 && deep:
			c = w.either(w.frame(c).with(opLocalTee, uint32(depth)))
			c = w.settle(c, depth)
		case i == 0 && w.firstLoop:
		case i == 0 && !leaf, r.check:
			c = w.check(c, depth)
		}
	}
	for _, e := range edits {
		c = append(c, body[at:e.at]...)
		c = w.apply(c, body, e, depth)
		at = e.until
	}
	c = append(c, body[at:]...)
	w.buffer = c
	w.code = appendBytes(w.code, []byte(c))
}

// freeBytes is how large the frame of a function that calls no other may be
// without being taken from the depth.
const freeBytes = 4 << 10

// frameBytes estimates what a call of the function takes of the stack.
func (w *walk) frameBytes() int64 {
	results := len(w.Types[w.Functions[w.index]].Results)
	words := frameWords + int(w.locals+w.wide) + results + 2*w.highest + w.uses.kept
	return 8 * int64(words)
}

// frame leaves what the depth is without the function's frame.
func (w *walk) frame(c code) code {
	return c.with(opGlobalGet, w.stackLeft()).i64(w.frameBytes()).op(opI64Sub)
}

// either leaves whether there is no fuel or, beneath it, no depth.
func (w *walk) either(c code) code {
	return c.with(opGlobalGet, w.fuel()).op(opI64Or).i64(0).op(opI64LtS)
}

// loop begins a loop, of the type that follows its byte.
func (w *walk) loop(c code, typ []byte, first bool, depth int) code {
	c = append(append(c, opLoop), typ...)
	if first && depth >= 0 {
		c = w.settle(w.either(c.get(uint32(depth))), depth)
	} else {
		c = w.check(c, depth)
	}
	c = append(append(c, opLoop), typ...)
	return c.with(opGlobalGet, w.fuel()).i64(0).op(opI64LtS).with(opBrIf, 1)
}

func (w *walk) apply(c code, body []byte, e edit, depth int) code {
	switch e.kind {
	case editCall:
		c = c.get(uint32(depth)).with(opGlobalSet, w.stackLeft())
		return c.with(opCall, w.moved(e.index))
	case editLeaf:
		return c.with(opCall, w.moved(e.index))
	case editDepth:
		return c.get(uint32(depth)).with(opGlobalSet, w.stackLeft())
	case editLoop:
		return w.loop(c, body[e.at+1:e.until], e.index == 1, depth)
	case editEnd:
		return c.op(opEnd, opEnd)
	case editBranch:
		return c.with(body[e.at], e.index)
	case editTable:
		c = c.with(opBrTable, e.count)
		for _, to := range w.branches[e.index : e.index+e.count+1] {
			c = appendLEB(c, to)
		}
		return c
	case editRefFunc:
		return c.with(opRefFunc, w.moved(e.index))
	default:
		return c.with(opCall, w.helperIndex(e.index))
	}
}

// splitLEB reads a number that was read before.
func splitLEB(b []byte) (v uint32, n int) {
	r := reader{b: b}
	return r.u32(), r.at
}
