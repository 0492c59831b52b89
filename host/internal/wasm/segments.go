package wasm

import (
	"maps"
	"math"
	"slices"
)

// A segment is one of the data section.
type segment struct {
	active bool
	bytes  []byte
}

// readData takes the active segments out. A Go program has tens of thousands
// of them, and the runtime takes its time over each in every new instance.
func (w *rewriting) readData() error {
	s := w.sections[sectionData]
	r := &reader{b: s.body, base: s.at, what: sectionNames[sectionData]}
	if s.there {
		for range r.count("data segments", maxSegments) {
			w.readSegment(r)
		}
		r.end()
	}
	if s := w.sections[sectionDataCount]; s.there && r.err == nil {
		r = &reader{b: s.body, base: s.at, what: sectionNames[sectionDataCount]}
		if n := r.u32(); r.err == nil && int64(n) != int64(len(w.datas)) {
			r.fail("%d data segments are announced and there are %d", n, len(w.datas))
		}
		r.end()
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

func (w *rewriting) readSegment(r *reader) {
	i := len(w.datas)
	kind := r.u32()
	if kind > 2 {
		r.fail("the data segment %d is of the unknown kind %d", i, kind)
	}
	if kind == 2 && r.u32() != 0 {
		r.lacks("the data segment %d is for another memory, of the multiple memories proposal", i)
	}
	var offset constant
	if kind != 1 {
		offset = r.constant()
	}
	d := segment{active: kind != 1, bytes: r.take(r.u32())}
	w.datas = append(w.datas, d)
	switch {
	case r.err != nil || kind == 1:
	case len(w.Memories) == 0:
		r.fail("the data segment %d is for a memory, and there is none", i)
	case offset.op != opI32Const:
		r.fail("the data segment %d doesn't begin at a number", i)
	default:
		end, room := offset.value+uint64(len(d.bytes)), uint64(w.Memories[0].Min)*PageBytes
		if end > room {
			r.fail("the data segment %d ends at %d, and the memory at %d", i, end, room)
			return
		}
		w.out.Data = append(w.out.Data, Segment{uint32(offset.value), d.bytes})
	}
}

// data writes the data section that instructions need which name segments. An
// active segment is as empty to them as one that was dropped.
func (w *rewriting) data() []byte {
	if !w.usesData {
		return nil
	}
	out := appendLEB(nil, uint32(len(w.datas)))
	for _, d := range w.datas {
		out = append(out, 1)
		if d.active {
			d.bytes = nil
		}
		out = appendBytes(out, d.bytes)
	}
	return out
}

// maxElements bounds the elements of all segments together.
const maxElements = 1 << 18

// readElements writes the element section with the indices that functions have
// now.
func (w *rewriting) readElements() error {
	s := w.sections[sectionElement]
	if !s.there {
		w.elements = []byte{0}
		return nil
	}
	r := &reader{b: s.body, base: s.at, what: sectionNames[sectionElement]}
	w.segments = r.count("element segments", maxSegments)
	out := appendLEB(make([]byte, 0, len(s.body)+len(s.body)/4), w.segments)
	all := uint32(0)
	for i := range w.segments {
		kind := r.u32()
		if kind > 7 {
			r.fail("the element segment %d is of the unknown kind %d", i, kind)
		}
		first, room := uint64(0), uint64(math.MaxUint64)
		passive, explicit, expressions := kind&1 != 0, kind&2 != 0, kind&4 != 0
		out = appendLEB(out, kind)
		if !passive {
			table := uint32(0)
			if explicit {
				table = r.u32()
				out = appendLEB(out, table)
			}
			if r.err == nil && uint64(table) >= uint64(len(w.Tables)) {
				r.fail("the element segment %d is for the unknown table %d", i, table)
			}
			at := w.checked(r, r.constant())
			out = w.appendConstant(out, at)
			// What comes of one that isn't inside is the runtime's to say, and it
			// says nothing.
			if first = uint64(uint32(at.value)); r.err == nil && at.op == opI32Const {
				room = uint64(w.Tables[table].Min)
			}
		}
		if passive || explicit {
			if t := r.byte(); expressions && t != Funcref && t != Externref || !expressions && t != 0 {
				r.fail("the element segment %d is of the type %#x", i, t)
			} else {
				out = append(out, t)
			}
		}
		n := r.count("elements of a segment", maxTableElements)
		if r.err == nil && first+uint64(n) > room {
			r.fail("the element segment %d has %d elements at %d, outside of its table of %d", i, n, first, room)
		}
		if all += n; all > maxElements {
			r.exceeds("the module has more than %d elements", maxElements)
		}
		out = appendLEB(out, n)
		for range n {
			if expressions {
				out = w.appendConstant(out, w.checked(r, r.constant()))
				continue
			}
			f := constant{op: opRefFunc, value: uint64(r.u32())}
			out = appendLEB(out, w.moved(uint32(w.checked(r, f).value)))
		}
		if r.err != nil {
			return r.err
		}
	}
	if r.end(); r.err != nil {
		return r.err
	}
	w.elements = out
	return nil
}

// allElements is the element section with one segment more, which declares the
// functions that code takes references of: it may be an export that did, and
// that wasn't kept.
func (w *rewriting) allElements() []byte {
	if len(w.refers) == 0 {
		return w.elements
	}
	_, n := splitLEB(w.elements)
	out := append(appendLEB(nil, w.segments+1), w.elements[n:]...)
	out = appendLEB(append(out, 3, 0), uint32(len(w.refers)))
	for _, f := range slices.Sorted(maps.Keys(w.refers)) {
		out = appendLEB(out, w.moved(f))
	}
	return out
}

// checked checks the index in a constant, and notes that it declares a
// function.
func (w *rewriting) checked(r *reader, c constant) constant {
	switch {
	case r.err != nil:
	case c.op == opRefFunc && c.value >= uint64(len(w.Functions)):
		r.fail("the unknown function %d", c.value)
	case c.op == opRefFunc:
		w.declares[c.value] = true
	case c.op == opGlobalGet && c.value >= uint64(len(w.Globals)):
		r.fail("the unknown global %d", c.value)
	}
	return c
}

// A naming is one function's in the name section.
type naming struct {
	index uint32
	name  []byte
}

// readNames reads the names of functions, for the stacks of traps and for
// messages. Like any custom section theirs may be damaged without making the
// module so: then there are none.
func (m *Module) readNames() []naming {
	for _, c := range m.Custom {
		if c.Name != "name" {
			continue
		}
		r := reader{b: c.Payload}
		for r.left() > 0 && r.err == nil {
			id := r.byte()
			body := r.within(r.u32())
			if id == 1 && r.err == nil {
				return m.readNamings(body)
			}
		}
	}
	return nil
}

func (m *Module) readNamings(r reader) []naming {
	list := make([]naming, r.count("names", maxFunctions))
	for i := range list {
		list[i].index = r.u32()
		list[i].name = []byte(r.name())
		if uint64(list[i].index) >= uint64(len(m.Functions)) || i > 0 && list[i].index <= list[i-1].index {
			return nil
		}
	}
	if r.end(); r.err != nil {
		return nil
	}
	return list
}

// name returns what a function is called, "" where that isn't known.
func (w *rewriting) name(index uint32) string {
	for _, n := range w.readNames() {
		if n.index == index {
			return string(n.name)
		}
	}
	return ""
}

func (w *rewriting) names() []byte {
	list := w.readNames()
	if list == nil {
		return nil
	}
	body := appendLEB(nil, uint32(len(list)))
	for _, n := range list {
		body = appendBytes(appendLEB(body, w.moved(n.index)), n.name)
	}
	return append(appendBytes(nil, "name"), appendBytes([]byte{1}, body)...)
}
