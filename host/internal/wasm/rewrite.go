package wasm

import (
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// What a rewritten module imports and exports besides the module's own.
const (
	CheckpointModule = "sallyport:engine"
	CheckpointName   = "checkpoint" // (fuel i64, depth i64) → fuel i64

	ExportFuel   = "sallyport.fuel"
	ExportDepth  = "sallyport.depth"
	ExportTables = "sallyport.tables"

	reservedPrefix = "sallyport."
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
}

// A rewriting is one run of Rewrite.
type rewriting struct {
	*Module
	Options
	out   Rewritten
	datas []segment
	shift uint32 // added to the indices of the module's own functions
}

// Rewrite returns what is to be compiled in place of the module.
func (m *Module) Rewrite(o Options) (*Rewritten, error) {
	w := &rewriting{Module: m, Options: o}
	for i, imp := range m.Imports {
		if imp.Kind != KindFunction {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "import %d, %s.%s, is a %s: plugins import functions alone", i, imp.Module, imp.Name, imp.Kind).
				WithHint("build it so that its memory and tables are its own")
		}
	}
	if err := w.readData(); err != nil {
		return nil, err
	}
	w.out.Wasm = w.encode()
	return &w.out, nil
}

func (w *rewriting) encode() []byte {
	out := make([]byte, 0, len(w.whole))
	out = append(out, magic+version...)
	out = appendSection(out, sectionType, w.types())
	out = appendSection(out, sectionImport, w.imports())
	out = appendSection(out, sectionFunction, w.functions())
	out = appendSection(out, sectionTable, w.tables())
	out = appendSection(out, sectionMemory, w.memories())
	out = appendSection(out, sectionGlobal, w.globals())
	out = appendSection(out, sectionExport, w.exports())
	if w.HasStart {
		out = appendSection(out, sectionStart, appendLEB(nil, w.function(w.start)))
	}
	out = appendSection(out, sectionElement, w.sections[sectionElement].body)
	out = appendSection(out, sectionCode, w.sections[sectionCode].body)
	return out
}

// appendSection appends a section unless it is empty.
func appendSection(out []byte, id byte, body []byte) []byte {
	if len(body) == 0 {
		return out
	}
	return appendBytes(append(out, id), body)
}

// function is the index that one of the module's functions has in what is
// written.
func (w *rewriting) function(index uint32) uint32 {
	if uint64(index) < uint64(w.importedFunctions) {
		return index
	}
	return index + w.shift
}

func (w *rewriting) types() []byte {
	if len(w.Types) == 0 {
		return nil
	}
	out := appendLEB(nil, uint32(len(w.Types)))
	for _, t := range w.Types {
		out = appendType(out, t)
	}
	return out
}

func appendType(out []byte, t Signature) []byte {
	return appendBytes(appendBytes(append(out, 0x60), t.Params), t.Results)
}

func (w *rewriting) imports() []byte {
	if len(w.Imports) == 0 {
		return nil
	}
	out := appendLEB(nil, uint32(len(w.Imports)))
	for _, imp := range w.Imports {
		out = append(appendBytes(appendBytes(out, imp.Module), imp.Name), byte(KindFunction))
		out = appendLEB(out, imp.Type)
	}
	return out
}

func (w *rewriting) functions() []byte {
	own := w.Functions[w.importedFunctions:]
	if len(own) == 0 {
		return nil
	}
	out := appendLEB(nil, uint32(len(own)))
	for _, t := range own {
		out = appendLEB(out, t)
	}
	return out
}

// tables gives every table a maximum, because table.grow takes memory that no
// other bound covers and toolchains write tables without one.
func (w *rewriting) tables() []byte {
	if len(w.Tables) == 0 {
		return nil
	}
	out := appendLEB(nil, uint32(len(w.Tables)))
	for _, t := range w.Tables {
		most := uint32(maxTableElements)
		if t.Bounded {
			most = min(most, t.Max)
		}
		out = append(out, t.Element, 1)
		out = appendLEB(appendLEB(out, t.Min), most)
	}
	return out
}

func (w *rewriting) memories() []byte {
	if len(w.Memories) == 0 {
		return nil
	}
	m := w.Memories[0]
	most := uint32(maxMemoryPages)
	if m.Bounded {
		most = min(most, m.Max)
	}
	return appendLEB(appendLEB([]byte{1, 1}, m.Min), max(m.Min, most))
}

func (w *rewriting) globals() []byte {
	if len(w.Globals) == 0 {
		return nil
	}
	out := appendLEB(nil, uint32(len(w.Globals)))
	for i, g := range w.Globals {
		out = append(out, g.Type, 0)
		if g.Mutable {
			out[len(out)-1] = 1
		}
		out = w.appendConstant(out, w.inits[i])
		if !g.Mutable {
			continue
		}
		switch g.Type {
		case I32, I64, F32, F64:
			w.out.Globals = append(w.out.Globals, GlobalExport{
				Name: reservedPrefix + "g" + strconv.Itoa(i), Type: g.Type, Init: w.inits[i].value,
			})
		}
	}
	return out
}

// appendConstant writes a constant with the index that its function has now.
func (w *rewriting) appendConstant(out []byte, c constant) []byte {
	if c.op != opRefFunc {
		return append(out, c.raw...)
	}
	return append(appendLEB(append(out, opRefFunc), w.function(uint32(c.value))), opEnd)
}

func (w *rewriting) exports() []byte {
	var list []byte
	n := uint32(0)
	add := func(name string, kind Kind, index uint32) {
		n++
		list = appendLEB(append(appendBytes(list, name), byte(kind)), index)
	}
	for _, e := range w.Exports {
		if w.Keep == nil || !w.Keep(e) || strings.HasPrefix(e.Name, reservedPrefix) {
			continue
		}
		if e.Kind == KindFunction {
			e.Index = w.function(e.Index)
		}
		add(e.Name, e.Kind, e.Index)
	}
	next := 0
	for i, g := range w.Globals {
		if next < len(w.out.Globals) && g.Mutable && w.out.Globals[next].Name == reservedPrefix+"g"+strconv.Itoa(i) {
			add(w.out.Globals[next].Name, KindGlobal, uint32(i))
			next++
		}
	}
	if n == 0 {
		return nil
	}
	return append(appendLEB(nil, n), list...)
}

// A segment is one of the data section.
type segment struct {
	active bool
	bytes  []byte
}

// readData takes the active segments out.
func (w *rewriting) readData() error {
	s := w.sections[sectionData]
	if !s.there {
		return nil
	}
	r := &reader{b: s.body, base: s.at, what: sectionNames[sectionData]}
	for i := range r.count("data segments", maxSegments) {
		kind := r.u32()
		if kind > 2 {
			r.fail("a data segment of kind %d", kind)
		}
		if kind == 2 && r.u32() != 0 {
			r.lacks("a data segment of another memory")
		}
		var offset constant
		if kind != 1 {
			offset = r.constant()
		}
		bytes := r.take(r.u32())
		if r.err != nil {
			return r.err
		}
		if w.datas = append(w.datas, segment{kind != 1, bytes}); kind == 1 {
			continue
		}
		var room uint64
		switch {
		case len(w.Memories) == 0:
			r.fail("the data segment %d is for a memory, and there is none", i)
		case offset.op != opI32Const:
			r.fail("the data segment %d doesn't begin at a number", i)
		default:
			room = uint64(w.Memories[0].Min) * PageBytes
		}
		if r.err == nil && offset.value+uint64(len(bytes)) > room {
			r.fail("the data segment %d ends at %d, the memory at %d", i, offset.value+uint64(len(bytes)), room)
		}
		if r.err != nil {
			return r.err
		}
		w.out.Data = append(w.out.Data, Segment{uint32(offset.value), bytes})
	}
	if r.end(); r.err != nil {
		return r.err
	}
	return nil
}
