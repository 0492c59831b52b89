package wasm

// A helper is a function that is appended to a module.
type helper struct {
	kind  helperKind
	table uint32 // of helperGrow
}

type helperKind byte

const (
	helperSettle   helperKind = iota // (depth i64): reaches the checkpoint
	helperBytes                      // (n i32) → n: charges for n bytes
	helperElements                   // (n i32) → n: charges for n elements, or pages
	helperCopy                       // as memory.copy
	helperFill                       // as memory.fill
	helperGrow                       // as table.grow
)

var (
	levyBytes    = helper{kind: helperBytes}
	levyElements = helper{kind: helperElements}
)

// helper returns the place among the helpers of h, which is written if it is
// asked for.
func (w *rewriting) helper(h helper) uint32 {
	if w.Unmetered {
		return 0
	}
	at, ok := w.helperAt[h]
	if !ok {
		at = uint32(len(w.helpers))
		w.helperAt[h] = at
		w.helpers = append(w.helpers, h)
	}
	return at
}

// helperIndex is the function index of the helper at a place.
func (w *rewriting) helperIndex(at uint32) uint32 { return uint32(len(w.Functions)) + w.shift() + at }

const (
	i32s = string(rune(I32))
	i64s = string(rune(I64))
)

func (w *rewriting) helperSignature(h helper) Signature {
	switch h.kind {
	case helperSettle:
		return Signature{Params: i64s}
	case helperBytes, helperElements:
		return Signature{Params: i32s, Results: i32s}
	case helperGrow:
		return Signature{Params: string([]byte{w.Tables[h.table].Element, I32}), Results: i32s}
	default:
		return Signature{Params: i32s + i32s + i32s}
	}
}

// Instructions of which helpers are written, and nothing else knows.
const (
	opI32Eq      = 0x46
	opI32GtU     = 0x4b
	opI64LtS     = 0x53
	opI64GtS     = 0x55
	opI64GtU     = 0x56
	opI32Add     = 0x6a
	opI32Sub     = 0x6b
	opI64Add     = 0x7c
	opI64Sub     = 0x7d
	opI64Or      = 0x84
	opI64Shl     = 0x86
	opI64ShrU    = 0x88
	opI64ExtendU = 0xad
)

const blockEmpty = 0x40

// A code is a function's, being written.
type code []byte

func (c code) op(ops ...byte) code             { return append(c, ops...) }
func (c code) with(op byte, index uint32) code { return appendLEB(append(c, op), index) }
func (c code) i32(v uint32) code               { return appendSigned(append(c, opI32Const), int64(int32(v))) }
func (c code) i64(v int64) code                { return appendSigned(append(c, opI64Const), v) }
func (c code) get(local uint32) code           { return c.with(opLocalGet, local) }
func (c code) set(local uint32) code           { return c.with(opLocalSet, local) }

// The globals that metering adds, after those of the module.
func (w *rewriting) fuel() uint32       { return uint32(len(w.Globals)) }
func (w *rewriting) stackLeft() uint32  { return w.fuel() + 1 }
func (w *rewriting) tablesLeft() uint32 { return w.fuel() + 2 }
func (w *rewriting) refused() uint32    { return w.fuel() + 3 }

const addedGlobals = 4

// charge takes fuel.
func (w *rewriting) charge(c code, units int) code {
	if units == 0 {
		return c
	}
	return c.with(opGlobalGet, w.fuel()).i64(int64(units)).op(opI64Sub).with(opGlobalSet, w.fuel())
}

// chargeLocal takes what an i64 local says.
func (w *rewriting) chargeLocal(c code, local uint32) code {
	return c.with(opGlobalGet, w.fuel()).get(local).op(opI64Sub).with(opGlobalSet, w.fuel())
}

// check reaches the checkpoint if there is no fuel. The depth is in the local,
// or where there is none in the global.
func (w *rewriting) check(c code, depth int) code {
	c = c.with(opGlobalGet, w.fuel()).i64(0).op(opI64LtS)
	return w.settle(c, depth)
}

// settle reaches the checkpoint if there is a true operand.
func (w *rewriting) settle(c code, depth int) code {
	c = c.op(opIf, blockEmpty)
	if depth >= 0 {
		c = c.get(uint32(depth))
	} else {
		c = c.with(opGlobalGet, w.stackLeft())
	}
	return c.with(opCall, w.helperIndex(w.helper(helper{kind: helperSettle}))).op(opEnd)
}

// helperCode returns a helper's body.
func (w *rewriting) helperCode(h helper) code {
	none, one := code{0}, code{1, 1, I64} // locals
	switch h.kind {
	case helperSettle:
		return none.with(opGlobalGet, w.fuel()).get(0).with(opCall, w.checkpoint()).with(opGlobalSet, w.fuel()).op(opEnd)
	case helperBytes:
		return w.levyCode(one, maxBytes, 3)
	case helperElements:
		return w.levyCode(one, maxTableElements, 0)
	case helperGrow:
		return w.growCode(one, h.table)
	case helperFill:
		return w.fillCode(one)
	default:
		return w.copyCode(one)
	}
}

// maxBytes bounds what is charged for an operation of bytes that is refused
// anyway when there are more.
const maxBytes = 64 << 20

// levyCode charges for a number, and leaves it.
func (w *rewriting) levyCode(c code, most uint32, shift int64) code {
	const n, units = 0, 1
	c = c.i32(most).get(n).get(n).i32(most).op(opI32GtU, opSelect, opI64ExtendU)
	c = c.i64(shift).op(opI64ShrU).set(units)
	c = w.check(w.chargeLocal(c, units), -1)
	return c.get(n).op(opEnd)
}

// growCode is table.grow's that goes no further than what is left of the
// elements of all tables.
func (w *rewriting) growCode(c code, table uint32) code {
	const value, n, wide = 0, 1, 2
	c = c.get(n).op(opI64ExtendU).set(wide)
	c = c.get(wide).with(opGlobalGet, w.tablesLeft()).op(opI64GtS)
	c = c.op(opIf, blockEmpty).i64(1).with(opGlobalSet, w.refused()).i32(1<<32-1).op(opReturn, opEnd)
	c = w.check(w.chargeLocal(c, wide), -1)
	c = c.get(value).get(n).op(opMisc).with(miscTableGrow, table).set(n)
	c = c.get(n).i32(1<<32 - 1).op(opI32Eq)
	c = c.op(opIf, blockEmpty).i32(1<<32-1).op(opReturn, opEnd)
	c = c.with(opGlobalGet, w.tablesLeft()).get(wide).op(opI64Sub).with(opGlobalSet, w.tablesLeft())
	return c.get(n).op(opEnd)
}

const (
	memoryCopy = "\xfc\x0a\x00\x00"
	memoryFill = "\xfc\x0b\x00"
)

// outside leaves whether n bytes at from end beyond the memory.
func (c code) outside(from, n uint32) code {
	c = c.get(from).op(opI64ExtendU).get(n).op(opI64ExtendU, opI64Add)
	return c.op(opMemorySize, 0, opI64ExtendU).i64(16).op(opI64Shl, opI64GtU)
}

// fillCode is memory.fill's, a Chunk at a time. What goes beyond the memory is
// left to the instruction, which traps before it writes.
func (w *rewriting) fillCode(c code) code {
	const to, value, n, units = 0, 1, 2, 3
	c = c.get(n).i32(Chunk).op(opI32GtU, opIf, blockEmpty)
	c = c.outside(to, n)
	c = c.op(opIf, blockEmpty).get(to).get(value).get(n).op([]byte(memoryFill)...).op(opEnd)
	c = c.op(opLoop, blockEmpty)
	c = w.check(w.charge(c, Chunk/BulkUnit), -1)
	c = c.get(to).get(value).i32(Chunk).op([]byte(memoryFill)...)
	c = c.get(to).i32(Chunk).op(opI32Add).set(to)
	c = c.get(n).i32(Chunk).op(opI32Sub).with(opLocalTee, n).i32(Chunk).op(opI32GtU, opBrIf, 0, opEnd, opEnd)
	c = w.levyRest(c, n, units)
	return c.get(to).get(value).get(n).op([]byte(memoryFill)...).op(opEnd)
}

// copyCode is memory.copy's, likewise: from the end where the source is before
// the target, so that nothing is overwritten that is still to be read.
func (w *rewriting) copyCode(c code) code {
	const to, from, n, units = 0, 1, 2, 3
	copyAll := func(c code) code { return c.get(to).get(from).get(n).op([]byte(memoryCopy)...) }
	less := func(c code) code { return c.get(n).i32(Chunk).op(opI32Sub).with(opLocalSet, n) }
	again := func(c code) code { return c.get(n).i32(Chunk).op(opI32GtU, opBrIf, 0, opEnd) }
	c = c.get(n).i32(Chunk).op(opI32GtU, opIf, blockEmpty)
	for _, at := range []uint32{to, from} {
		c = copyAll(c.outside(at, n).op(opIf, blockEmpty)).op(opEnd)
	}
	c = c.get(to).get(from).op(opI32GtU, opIf, blockEmpty)
	c = w.check(w.charge(c.op(opLoop, blockEmpty), Chunk/BulkUnit), -1)
	c = less(c)
	for _, at := range []uint32{to, from} {
		c = c.get(at).get(n).op(opI32Add)
	}
	c = again(c.i32(Chunk).op([]byte(memoryCopy)...))
	c = c.op(opElse)
	c = w.check(w.charge(c.op(opLoop, blockEmpty), Chunk/BulkUnit), -1)
	c = c.get(to).get(from).i32(Chunk).op([]byte(memoryCopy)...)
	for _, at := range []uint32{to, from} {
		c = c.get(at).i32(Chunk).op(opI32Add).set(at)
	}
	c = again(less(c)).op(opEnd, opEnd)
	return copyAll(w.levyRest(c, n, units)).op(opEnd)
}

// levyRest charges for n bytes.
func (w *rewriting) levyRest(c code, n, units uint32) code {
	c = c.get(n).op(opI64ExtendU).i64(3).op(opI64ShrU).set(units)
	return w.check(w.chargeLocal(c, units), -1)
}
