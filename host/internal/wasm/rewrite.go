package wasm

import (
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// What a rewritten module imports and exports besides the module's own. The
// globals are of type i64 and mutable; they begin at zero.
const (
	// The function (fuel i64, depth i64) → fuel i64 is called where ExportFuel
	// fell below zero, with what it holds, and where depth did. What it returns
	// is put into ExportFuel. It may trap, and has to where depth is negative.
	CheckpointModule = "sallyport:engine"
	CheckpointName   = "checkpoint"

	ExportFuel    = "sallyport.fuel"    // units left until the next checkpoint
	ExportDepth   = "sallyport.depth"   // bytes of stack left; whoever calls into the module sets it before
	ExportTables  = "sallyport.tables"  // elements that table.grow may still add to all tables together
	ExportRefused = "sallyport.refused" // not zero once table.grow was refused more

	reserved = "sallyport." // what such names begin with
)

const (
	BulkUnit = 8       // bytes that a bulk operation moves for a unit of fuel
	Chunk    = 1 << 20 // bytes that one moves between two checks
)

// Options say what a rewritten module is to be like.
type Options struct {
	Keep      func(Export) bool // exports that stay; nil keeps none
	Unmetered bool              // leaves the code as it is: for measuring what metering costs
}

// A Rewritten module is what is compiled in place of another.
type Rewritten struct {
	Wasm    []byte
	Data    []Segment      // taken out of the module, in order; whoever instantiates writes them
	Globals []GlobalExport // the module's own mutable globals of a numeric type
	Fixed   string         // why an instance can't be put back to an earlier state from outside; "" when it can
}

// A Segment is data for an instance's memory. It lies inside of the memory's
// minimum.
type Segment struct {
	Offset uint32
	Bytes  []byte // a view of the module
}

// A GlobalExport is a global that was exported so that it can be read and set.
type GlobalExport struct {
	Name string
	Type byte
	Init uint64 // its bits in a new instance

	index uint32
}

// A rewriting is one run of Rewrite.
type rewriting struct {
	*Module
	Options
	out Rewritten

	datas    []segment
	usesData bool
	elements []byte
	segments uint32          // of elements
	declares []bool          // functions that code may take a reference of
	refers   map[uint32]bool // functions that code takes a reference of

	leaves  []bool // of the module's own functions
	mutable int    // globals
	all     uint32 // locals of all functions so far

	allWeight, allTangle int // of all functions so far

	code     []byte // bodies, one after the other
	buffer   code
	helpers  []helper
	helperAt map[helper]uint32
}

// Rewrite returns what is to be compiled in place of the module. It fails with
// invalid_argument where the module is malformed, unimplemented where it needs
// a proposal that isn't run here, and resource_exhausted where a part is beyond
// its bound. A module that it returns may still be found ill-typed by the
// runtime, and only if the original is.
func (m *Module) Rewrite(o Options) (*Rewritten, error) {
	w := &rewriting{Module: m, Options: o, helperAt: map[helper]uint32{}, refers: map[uint32]bool{}}
	for _, step := range []func() error{w.checkIndices, w.checkTables, w.readData, w.readElements, w.readCode} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	w.out.Wasm = w.encode()
	return &w.out, nil
}

// checkIndices checks those that stand outside of code, data and elements.
func (w *rewriting) checkIndices() error {
	malformed := func(format string, args ...any) error {
		return abi.Errorf(abi.CodeInvalidArgument, "malformed module: "+format, args...).WithHint("build the plugin again")
	}
	for i, imp := range w.Imports {
		if imp.Kind != KindFunction {
			return abi.Errorf(abi.CodeInvalidArgument, "import %d, %s.%s, is a %s: plugins import functions alone", i, imp.Module, imp.Name, imp.Kind).
				WithHint("build it so that its memory and tables are its own")
		}
	}
	for i, t := range w.Functions {
		if uint64(t) >= uint64(len(w.Types)) {
			return malformed("function %d has the unknown type %d", i, t)
		}
	}
	if w.HasStart && uint64(w.start) >= uint64(len(w.Functions)) {
		return malformed("it starts with the unknown function %d", w.start)
	}
	w.declares = make([]bool, len(w.Functions))
	there := []int{len(w.Functions), len(w.Tables), len(w.Memories), len(w.Globals)}
	for _, e := range w.Exports {
		if int(e.Kind) >= len(there) || uint64(e.Index) >= uint64(there[e.Kind]) {
			return malformed("the export %s is of the unknown %s %d", e.Name, e.Kind, e.Index)
		}
		if w.keeps(e) && strings.HasPrefix(e.Name, reserved) {
			return malformed("it exports %s, a name of the host's", e.Name)
		}
		if e.Kind == KindFunction {
			w.declares[e.Index] = true
		}
	}
	for i, c := range w.inits {
		if c.op == opRefFunc && c.value >= uint64(len(w.Functions)) || c.op == opGlobalGet {
			return malformed("the global %d begins as something unknown, %d", i, c.value)
		}
		if c.op == opRefFunc {
			w.declares[c.value] = true
		}
		if w.Globals[i].Mutable {
			w.mutable++
		}
	}
	return nil
}

// checkTables holds the tables against the bound of all together.
func (w *rewriting) checkTables() error {
	var all uint64
	for _, t := range w.Tables {
		all += uint64(t.Min)
	}
	if all > maxTableElements {
		return abi.Errorf(abi.CodeResourceExhausted, "the module's tables begin with %d elements, the bound is %d", all, maxTableElements)
	}
	return nil
}

func (w *rewriting) keeps(e Export) bool { return w.Keep != nil && w.Keep(e) }

// fixed notes an operation whose effect can't be undone from outside.
func (w *rewriting) fixed(why string) {
	if w.out.Fixed == "" {
		w.out.Fixed = why
	}
}

// checkpoint is the function index of the one import that is added, behind the
// module's own.
func (w *rewriting) checkpoint() uint32 { return uint32(w.importedFunctions) }

// shift is how many functions are put in front of the module's own.
func (w *rewriting) shift() uint32 {
	if w.Unmetered {
		return 0
	}
	return 1
}

// moved is the index that one of the module's functions has in what is written.
func (w *rewriting) moved(index uint32) uint32 {
	if uint64(index) < uint64(w.importedFunctions) {
		return index
	}
	return index + w.shift()
}
