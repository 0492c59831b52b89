package wasm

// A walk is that over one function's body. It checks the structure, the
// indices and the heights of operands, and finds out what to insert where. One
// is used for function after function.
type walk struct {
	*rewriting
	reader
	index  uint32 // of the function
	locals uint32 // parameters included
	wide   uint32 // vectors among them

	frames  []frame
	targets []*frame // of a br_table
	height  int      // of the operands
	highest int
	loops   uint32 // so far
	blocks  int    // so far
	weight  int

	edits     []edit
	branches  []uint32 // where those go that were edited
	firstLoop bool     // whether the function begins with a loop, which checks in its place
	meter     meter
	uses      uses
	dispatch  dispatch
	calls     bool // functions that may call in their turn
}

// A frame is a block that is open.
type frame struct {
	op              uint32 // opBlock, opLoop, opIf, opElse
	params, results int
	height          int // of the operands beneath
	dead            bool
	loop            uint32 // the innermost, this one included
	wrapped         bool   // a loop that was put into another
	wraps           uint32 // loops wrapped so far, this one included
	place           int    // among the frames
	serial          uint32 // tells it from others at its place
	switches        int    // of a loop that begins with a switch: which, counted from 1
	label           flow   // what branches to its end
	otherwise       flow   // what an if does where its condition is false
}

// arity is how many operands a branch to the frame takes along.
func (f *frame) arity() int {
	if f.op == opLoop {
		return f.params
	}
	return f.results
}

// body walks over the code of a function whose locals were read.
func (w *walk) body() {
	sig := w.Types[w.Functions[w.index]]
	w.frames = append(w.frames[:0], frame{op: opBlock, results: len(sig.Results)})
	w.height, w.highest, w.loops, w.blocks, w.weight = 0, 0, 0, 0, 0
	w.edits, w.branches, w.firstLoop, w.calls = w.edits[:0], w.branches[:0], false, false
	w.meter.begin(w.at, tailMax(int(w.locals+w.wide)))
	w.uses.begin(int(w.locals))
	w.dispatch.begin()
	for w.err == nil && len(w.frames) > 0 {
		w.next()
	}
	w.end()
	w.judge()
}

func (w *walk) top() *frame { return &w.frames[len(w.frames)-1] }

// pop takes n operands.
func (w *walk) pop(n int) {
	f := w.top()
	if w.height -= n; w.height < f.height {
		if !f.dead {
			w.fail("an operand is missing")
		}
		w.height = f.height
	}
}

func (w *walk) push(n int) {
	w.height += n
	w.highest = max(w.highest, w.height)
	if w.height > maxHeight {
		w.exceeds("it has more than %d operands at a time", maxHeight)
	}
}

func (w *walk) next() {
	at := w.at
	var in instruction
	w.instruction(&in)
	if w.err != nil {
		return
	}
	w.meter.step(at)
	w.weight += 1 + int(in.shape.weight)
	switch in.op {
	case opNop:
	case opUnreachable:
		w.meter.spend(1)
		w.leave(nil)
	case opBlock, opLoop, opIf:
		w.uses.turn()
		w.open(&in, at)
	case opElse:
		w.uses.turn()
		w.turn()
	case opEnd:
		w.uses.turn()
		w.close(at)
	case opBr, opBrIf, opBrTable, opReturn:
		w.uses.turn()
		w.branch(&in, at)
	case opCall, opCallIndirect:
		w.call(&in, at)
	case opLocalGet, opLocalSet, opLocalTee:
		w.local(&in, at)
	case opGlobalGet, opGlobalSet:
		w.global(&in)
	case opTableGet, opTableSet:
		w.tableAccess(&in)
	case opMemorySize, opMemoryGrow:
		w.memorySize(&in, at)
	case opRefFunc:
		if w.function(in.a); w.err == nil && !w.declares[in.a] {
			w.fail("a reference of function %d, which is declared nowhere else", in.a)
		}
		w.operate(0, 1)
		w.refers[in.a] = true
		w.edit(edit{at: at, until: w.at, kind: editRefFunc, index: in.a})
	case opMisc:
		w.bulk(&in, at)
	case opI32Const:
		w.operate(0, 1)
		w.dispatch.constant(in.a, w.at)
	default:
		w.operate(int(in.shape.pops), int(in.shape.pushes))
		if in.shape.imm == immMemory || in.shape.imm == immMemLane {
			w.memory()
		}
	}
}

// operate is what an instruction does that takes and leaves operands and
// nothing else.
func (w *walk) operate(pops, pushes int) {
	w.meter.spend(1)
	w.pop(pops)
	w.push(pushes)
}

func (w *walk) local(in *instruction, at int) {
	switch {
	case in.a >= w.locals:
		w.fail("the unknown local %d", in.a)
	case in.op == opLocalGet:
		w.uses.get(in.a)
		w.dispatch.localGet(in.a, at, w.at)
		w.operate(0, 1)
	case in.op == opLocalSet:
		w.uses.set(in.a)
		w.uses.vary(in.a, w.frames)
		w.dispatch.localSet(in.a, at, w.at)
		w.operate(1, 0)
	default:
		w.uses.set(in.a)
		w.uses.vary(in.a, w.frames)
		w.operate(1, 1)
	}
}

func (w *walk) global(in *instruction) {
	switch {
	case uint64(in.a) >= uint64(len(w.Globals)):
		w.fail("the unknown global %d", in.a)
	case in.op == opGlobalGet:
		w.operate(0, 1)
	case !w.Globals[in.a].Mutable:
		w.fail("the global %d is set, and it is a constant", in.a)
	default:
		w.operate(1, 0)
	}
}

func (w *walk) function(index uint32) {
	if uint64(index) >= uint64(len(w.Functions)) {
		w.fail("the unknown function %d", index)
	}
}

func (w *walk) typ(index uint32) (s Signature) {
	if uint64(index) >= uint64(len(w.Types)) {
		w.fail("the unknown type %d", index)
		return s
	}
	return w.Types[index]
}

func (w *walk) table(index uint32) (t Table) {
	if uint64(index) >= uint64(len(w.Tables)) {
		w.fail("the unknown table %d", index)
		return t
	}
	return w.Tables[index]
}

func (w *walk) memory() {
	if len(w.Memories) == 0 {
		w.fail("a memory is used, and there is none")
	}
}

// call is a call's: of one function, or through a table.
func (w *walk) call(in *instruction, at int) {
	var sig Signature
	leaf := false
	if in.op == opCall {
		if w.function(in.a); w.err != nil {
			return
		}
		sig, leaf = w.Types[w.Functions[in.a]], w.leaf(in.a)
		e := edit{at: at, until: w.at, kind: editCall, index: in.a}
		if leaf {
			e.kind = editLeaf
		}
		w.edit(e)
	} else {
		if t := w.table(in.b); w.err == nil && t.Element != Funcref {
			w.fail("a call through the table %d, which has no functions", in.b)
		}
		sig = w.typ(in.a)
		w.pop(1)
		w.edit(edit{at: at, until: at, kind: editDepth})
	}
	n, m := len(sig.Params), len(sig.Results)
	w.meter.spend(1 + prepaid + n + m)
	w.meter.called(!leaf)
	w.calls = w.calls || !leaf
	w.weight += weightCall + weightValue*(n+m) + w.mutable
	if in.op == opCallIndirect {
		w.weight += weightIndirect
	}
	w.pop(n)
	w.uses.call(w.height)
	w.push(m)
}

func (w *walk) tableAccess(in *instruction) {
	w.table(in.a)
	w.weight += weightMemory
	if in.op == opTableGet {
		w.operate(1, 1)
		return
	}
	w.fixed("table.set")
	w.operate(2, 0)
}

func (w *walk) memorySize(in *instruction, at int) {
	w.memory()
	if in.op == opMemorySize {
		w.operate(0, 1)
		return
	}
	w.operate(1, 1)
	w.levy(at, levyElements)
}

// bulk is an instruction's behind opMisc: most are bulk operations, of which a
// few bytes do a lot of work.
func (w *walk) bulk(in *instruction, at int) {
	w.operate(int(in.shape.pops), int(in.shape.pushes))
	if in.sub >= miscMemoryInit {
		w.weight += weightBulk
		w.blocks++
	}
	switch in.sub {
	case miscMemoryInit:
		w.memory()
		w.data("memory.init", in.a)
		w.levy(at, levyBytes)
	case miscDataDrop:
		w.data("data.drop", in.a)
	case miscMemoryCopy:
		w.memory()
		w.replace(at, helper{kind: helperCopy})
	case miscMemoryFill:
		w.memory()
		w.replace(at, helper{kind: helperFill})
	case miscTableInit:
		w.fixed("table.init")
		w.elements(in.a)
		w.table(in.b)
		w.levy(at, levyElements)
	case miscElemDrop:
		w.fixed("elem.drop")
		w.elements(in.a)
	case miscTableCopy:
		w.fixed("table.copy")
		w.table(in.a)
		w.table(in.b)
		w.levy(at, levyElements)
	case miscTableGrow:
		w.fixed("table.grow")
		w.table(in.a)
		w.replace(at, helper{kind: helperGrow, table: in.a})
	case miscTableSize:
		w.table(in.a)
	case miscTableFill:
		w.fixed("table.fill")
		w.table(in.a)
		w.levy(at, levyElements)
	}
}

func (w *walk) data(op string, index uint32) {
	w.fixed(op)
	w.usesData = true
	switch {
	case !w.sections[sectionDataCount].there:
		w.fail("%s in a module without a data count section", op)
	case uint64(index) >= uint64(len(w.datas)):
		w.fail("the unknown data segment %d", index)
	}
}

func (w *walk) elements(index uint32) {
	if index >= w.segments {
		w.fail("the unknown element segment %d", index)
	}
}

// levy charges for the number on top of the operands before an instruction.
func (w *walk) levy(at int, h helper) {
	w.edit(edit{at: at, until: at, kind: editHelper, index: w.helper(h)})
	w.uses.call(w.height)
}

// replace puts a call of one of our functions in the place of an instruction.
func (w *walk) replace(at int, h helper) {
	w.edit(edit{at: at, until: w.at, kind: editHelper, index: w.helper(h)})
	w.uses.call(w.height)
}
