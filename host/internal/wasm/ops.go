package wasm

// Instructions that the rewriting has to know by name.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	vecConst = 0x0c
)

// Instructions behind opMisc.
const (
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17
)

// What follows an instruction's byte.
const (
	immNone   = iota
	immMemory // an alignment and an offset
	immI32
	immI64
	imm4
	imm8
	imm16       // a vector, or the lanes of a shuffle
	immLane     // a byte
	immMemLane  // an alignment, an offset and a lane
	immSpecial  // read by the walker itself
	immIllegal  // no instruction
	immProposal // of a proposal that isn't run here
)

// A shape is how an instruction is written, what it does to the operands, and
// what it weighs for the compiler, beside the one that each does.
type shape struct{ imm, pops, pushes, weight byte }

// shapes are those of the instructions of a byte, vectors those behind
// opVector.
var shapes, vectors = makeShapes(), makeVectors()

// between sets the shapes of a range, its ends included.
func between(t *[256]shape, from, to int, s shape) {
	for i := from; i <= to; i++ {
		t[i] = s
	}
}

func makeShapes() (t [256]shape) {
	between(&t, 0, 0xff, shape{imm: immIllegal})
	between(&t, opUnreachable, opElse, shape{imm: immSpecial})
	between(&t, 0x06, 0x0a, shape{imm: immProposal}) // exceptions
	between(&t, opEnd, opCallIndirect, shape{imm: immSpecial})
	between(&t, 0x12, 0x15, shape{imm: immProposal}) // tail calls, typed references
	between(&t, 0x18, 0x19, shape{imm: immProposal}) // exceptions
	t[0x1f] = shape{imm: immProposal}
	between(&t, opDrop, opDrop, shape{immNone, 1, 0, 0})
	between(&t, opSelect, opSelect, shape{immNone, 3, 1, 0})
	between(&t, opSelectTyped, opSelectTyped, shape{imm: immSpecial})
	between(&t, opLocalGet, opTableSet, shape{imm: immSpecial})
	between(&t, 0x28, 0x35, shape{immMemory, 1, 1, weightMemory}) // loads
	between(&t, 0x36, 0x3e, shape{immMemory, 2, 0, weightMemory}) // stores
	between(&t, opMemorySize, opMemoryGrow, shape{imm: immSpecial})
	t[opI32Const] = shape{immI32, 0, 1, 0}
	t[opI64Const] = shape{immI64, 0, 1, 0}
	t[opF32Const] = shape{imm4, 0, 1, 0}
	t[opF64Const] = shape{imm8, 0, 1, 0}
	unary, binary := shape{immNone, 1, 1, 0}, shape{immNone, 2, 1, 0}
	between(&t, 0x45, 0xc4, unary)
	for _, span := range [][2]int{
		{0x46, 0x4f}, {0x51, 0x66}, // comparisons
		{0x6a, 0x78}, {0x7c, 0x8a}, // integers
		{0x92, 0x98}, {0xa0, 0xa6}, // floats
	} {
		between(&t, span[0], span[1], binary)
	}
	// Divisions and conversions that trap.
	for _, span := range [][2]int{{0x6d, 0x70}, {0x7f, 0x82}, {0xa8, 0xab}, {0xae, 0xb1}} {
		for op := span[0]; op <= span[1]; op++ {
			t[op].weight = weightTrap
		}
	}
	between(&t, opRefNull, opRefFunc, shape{imm: immSpecial})
	between(&t, 0xd3, 0xd6, shape{imm: immProposal}) // typed references
	between(&t, 0xfb, 0xfb, shape{imm: immProposal}) // garbage collection
	between(&t, opMisc, opVector, shape{imm: immSpecial})
	between(&t, 0xfe, 0xfe, shape{imm: immProposal}) // threads
	return t
}

func makeVectors() (t [256]shape) {
	unary, binary := shape{immNone, 1, 1, 0}, shape{immNone, 2, 1, 0}
	between(&t, 0x00, 0xff, binary)
	between(&t, 0x00, 0x0a, shape{immMemory, 1, 1, weightMemory})
	t[0x0b] = shape{immMemory, 2, 0, weightMemory}
	t[vecConst] = shape{imm16, 0, 1, 0}
	t[0x0d] = shape{imm16, 2, 1, 0}
	between(&t, 0x0f, 0x14, unary) // splats
	extract, replace := shape{immLane, 1, 1, 0}, shape{immLane, 2, 1, 0}
	between(&t, 0x15, 0x22, extract)
	for _, op := range []int{0x17, 0x1a, 0x1c, 0x1e, 0x20, 0x22} {
		t[op] = replace
	}
	t[0x4d] = unary
	t[0x52] = shape{immNone, 3, 1, 0}
	t[0x53] = unary
	between(&t, 0x54, 0x57, shape{immMemLane, 2, 1, weightMemory})
	between(&t, 0x58, 0x5b, shape{immMemLane, 2, 0, weightMemory})
	between(&t, 0x5c, 0x5d, shape{immMemory, 1, 1, weightMemory})
	for _, span := range [][2]int{
		{0x5e, 0x64}, {0x67, 0x6a}, {0x74, 0x75}, {0x7a, 0x7a}, {0x7c, 0x81}, {0x83, 0x84}, {0x87, 0x8a},
		{0x94, 0x94}, {0xa0, 0xa1}, {0xa3, 0xa4}, {0xa7, 0xaa}, {0xc0, 0xc1}, {0xc3, 0xc4}, {0xc7, 0xca},
		{0xe0, 0xe1}, {0xe3, 0xe3}, {0xec, 0xed}, {0xef, 0xef}, {0xf8, 0xff},
	} {
		between(&t, span[0], span[1], unary)
	}
	for _, op := range []int{
		0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb,
		0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee,
	} {
		t[op] = shape{imm: immIllegal}
	}
	return t
}

// An instruction is one that was read: the first byte, for those behind a
// prefix the number after it, and up to two indices. Of a block a is its type,
// and b the one value type or nothing that may stand in its place.
type instruction struct {
	op, sub uint32
	a, b    uint32
	shape   shape
	targets reader // of br_table: at its targets, one more than a
}

// instruction reads the next one. What its indices name isn't looked at.
func (r *reader) instruction(in *instruction) {
	op := r.byte()
	in.op, in.shape = uint32(op), shapes[op]
	switch in.shape.imm {
	case immNone:
	case immMemory, immMemLane, immI32, immI64, imm4, imm8, imm16, immLane:
		r.immediate(in)
	case immIllegal:
		r.at--
		r.fail("the unknown instruction %#x", op)
	case immProposal:
		r.at--
		r.lacks("the instruction %#x, of %s", op, proposalOf(op))
	default:
		r.special(in)
	}
}

func proposalOf(op byte) string {
	switch {
	case op == 0xfe:
		return "the threads proposal"
	case op == 0x12 || op == 0x13:
		return "the tail calls proposal"
	case op == 0xfb:
		return "the garbage collection proposal"
	case op < 0x20 && op != 0x14 && op != 0x15:
		return "the exceptions proposal"
	default:
		return "the typed references proposal"
	}
}

func (r *reader) immediate(in *instruction) {
	switch in.shape.imm {
	case immMemory, immMemLane:
		if align := r.u32(); align >= 1<<5 {
			if align < 1<<7 {
				r.lacks("a memory's index in an instruction, of the multiple memories proposal")
			} else {
				r.fail("an alignment of 1<<%d", align)
			}
		}
		r.u32()
		if in.shape.imm == immMemLane {
			r.byte()
		}
	case immI32:
		in.a = uint32(r.signed(32))
	case immI64:
		r.signed(64)
	case imm4:
		r.take(4)
	case imm8:
		r.take(8)
	case imm16:
		r.take(16)
	case immLane:
		r.byte()
	}
}

func (r *reader) special(in *instruction) {
	switch in.op {
	case opUnreachable, opNop, opElse, opEnd, opReturn:
	case opBlock, opLoop, opIf:
		if v := r.signed(33); v >= 0 {
			in.a, in.b = uint32(v), 0
		} else {
			in.b = uint32(v & 0x7f)
		}
	case opBr, opBrIf, opCall, opLocalGet, opLocalSet, opLocalTee, opGlobalGet, opGlobalSet, opTableGet, opTableSet, opRefFunc:
		in.a = r.u32()
	case opBrTable:
		in.a = r.count("targets of a br_table", maxTargets)
		in.targets = *r
		for range in.a + 1 {
			r.u32()
		}
	case opCallIndirect:
		in.a, in.b = r.u32(), r.u32()
	case opSelectTyped:
		if n := r.u32(); n != 1 {
			r.fail("a select of %d types", n)
		}
		in.a = uint32(r.valueType())
		in.shape = shape{immNone, 3, 1, 0}
	case opMemorySize, opMemoryGrow:
		r.memoryIndex()
	case opRefNull:
		in.a = uint32(r.refType())
		in.shape = shape{immNone, 0, 1, 0}
	case opRefIsNull:
		in.shape = shape{immNone, 1, 1, 0}
	case opMisc:
		r.misc(in)
	case opVector:
		in.sub = r.u32()
		switch {
		case in.sub > 0x113:
			r.fail("the unknown instruction 0xfd %#x", in.sub)
		case in.sub > 0xff:
			r.lacks("the instruction 0xfd %#x, of the relaxed vectors proposal", in.sub)
		default:
			if in.shape = vectors[in.sub]; in.shape.imm == immIllegal {
				r.fail("the unknown instruction 0xfd %#x", in.sub)
			}
			r.immediate(in)
		}
	}
}

func (r *reader) misc(in *instruction) {
	in.sub = r.u32()
	switch in.sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
		in.shape = shape{immNone, 1, 1, 0}
	case miscMemoryInit:
		in.a = r.u32()
		r.memoryIndex()
		in.shape = shape{immNone, 3, 0, 0}
	case miscDataDrop, miscElemDrop:
		in.a = r.u32()
		in.shape = shape{}
	case miscMemoryCopy:
		r.memoryIndex()
		r.memoryIndex()
		in.shape = shape{immNone, 3, 0, 0}
	case miscMemoryFill:
		r.memoryIndex()
		in.shape = shape{immNone, 3, 0, 0}
	case miscTableInit, miscTableCopy:
		in.a, in.b = r.u32(), r.u32()
		in.shape = shape{immNone, 3, 0, 0}
	case miscTableGrow:
		in.a = r.u32()
		in.shape = shape{immNone, 2, 1, 0}
	case miscTableSize:
		in.a = r.u32()
		in.shape = shape{immNone, 0, 1, 0}
	case miscTableFill:
		in.a = r.u32()
		in.shape = shape{immNone, 3, 0, 0}
	default:
		r.fail("the unknown instruction 0xfc %#x", in.sub)
	}
}

func (r *reader) memoryIndex() {
	switch c := r.byte(); {
	case r.err != nil || c == 0:
	case c < 0x80:
		r.lacks("the memory %d, of the multiple memories proposal", c)
	default:
		r.fail("a memory's index of more than a byte")
	}
}
