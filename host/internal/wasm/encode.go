package wasm

import "strconv"

// encode writes the module anew. Of its custom sections it keeps the names of
// functions alone: so what nobody uses costs nothing, and a module with another
// manifest and the same code is the same to a cache.
func (w *rewriting) encode() []byte {
	var helpers []code
	for i := 0; i < len(w.helpers); i++ { // writing one may ask for another
		helpers = append(helpers, w.helperCode(w.helpers[i]))
	}
	out := make([]byte, 0, len(w.code)+len(w.code)/8+1<<10)
	out = append(out, magic+version...)
	out = appendSection(out, sectionType, w.types())
	out = appendSection(out, sectionImport, w.imports())
	out = appendSection(out, sectionFunction, w.functions())
	out = appendSection(out, sectionTable, w.tables())
	out = appendSection(out, sectionMemory, w.memories())
	out = appendSection(out, sectionGlobal, w.globals())
	out = appendSection(out, sectionExport, w.exports())
	if w.HasStart {
		out = appendSection(out, sectionStart, appendLEB(nil, w.moved(w.start)))
	}
	out = appendSection(out, sectionElement, w.allElements())
	if w.usesData {
		out = appendSection(out, sectionDataCount, appendLEB(nil, uint32(len(w.datas))))
	}
	bodies := len(w.leaves) + len(helpers)
	if bodies > 0 {
		code := appendLEB(make([]byte, 0, len(w.code)+1<<10), uint32(bodies))
		code = append(code, w.code...)
		for _, h := range helpers {
			code = appendBytes(code, []byte(h))
		}
		out = appendSection(out, sectionCode, code)
	}
	out = appendSection(out, sectionData, w.data())
	return appendSection(out, sectionCustom, w.names())
}

// appendSection appends a section unless it is empty.
func appendSection(out []byte, id byte, body []byte) []byte {
	if len(body) == 0 {
		return out
	}
	return appendBytes(append(out, id), body)
}

// A list is a vector being written.
type list struct {
	n uint32
	b []byte
}

// bytes returns it, nil where it is empty.
func (l *list) bytes() []byte {
	if l.n == 0 {
		return nil
	}
	return append(appendLEB(make([]byte, 0, len(l.b)+5), l.n), l.b...)
}

func (w *rewriting) types() []byte {
	var l list
	add := func(s Signature) {
		l.n++
		l.b = appendBytes(appendBytes(append(l.b, 0x60), s.Params), s.Results)
	}
	for _, s := range w.Types {
		add(s)
	}
	if !w.Unmetered {
		add(Signature{Params: i64s + i64s, Results: i64s})
	}
	for _, h := range w.helpers {
		add(w.helperSignature(h))
	}
	return l.bytes()
}

func (w *rewriting) imports() []byte {
	var l list
	add := func(module, name string, index uint32) {
		l.n++
		l.b = appendLEB(append(appendBytes(appendBytes(l.b, module), name), byte(KindFunction)), index)
	}
	for _, imp := range w.Imports {
		add(imp.Module, imp.Name, imp.Type)
	}
	if !w.Unmetered {
		add(CheckpointModule, CheckpointName, uint32(len(w.Types)))
	}
	return l.bytes()
}

func (w *rewriting) functions() []byte {
	var l list
	for _, t := range w.Functions[w.importedFunctions:] {
		l.n, l.b = l.n+1, appendLEB(l.b, t)
	}
	for i := range w.helpers {
		l.n, l.b = l.n+1, appendLEB(l.b, uint32(len(w.Types)+1+i))
	}
	return l.bytes()
}

// tables gives every table a maximum, because table.grow takes memory that no
// other bound covers and toolchains write tables without one.
func (w *rewriting) tables() []byte {
	var l list
	for _, t := range w.Tables {
		most := uint32(maxTableElements)
		if t.Bounded {
			most = min(most, t.Max)
		}
		l.n, l.b = l.n+1, append(l.b, t.Element, 1)
		l.b = appendLEB(appendLEB(l.b, t.Min), most)
	}
	return l.bytes()
}

// memories does the same: all of 4 GiB but a page, so that the size in bytes
// is a number of 32 bits.
func (w *rewriting) memories() []byte {
	var l list
	for _, m := range w.Memories {
		most := uint32(maxMemoryPages)
		if m.Bounded {
			most = min(most, m.Max)
		}
		l.n, l.b = l.n+1, append(l.b, 1)
		l.b = appendLEB(appendLEB(l.b, m.Min), max(m.Min, most))
	}
	return l.bytes()
}

func (w *rewriting) globals() []byte {
	var l list
	for i, g := range w.Globals {
		mutable := byte(0)
		if g.Mutable {
			mutable = 1
		}
		l.n, l.b = l.n+1, w.appendConstant(append(l.b, g.Type, mutable), w.inits[i])
		switch {
		case !g.Mutable:
		case g.Type == I32 || g.Type == I64 || g.Type == F32 || g.Type == F64:
			w.out.Globals = append(w.out.Globals, GlobalExport{
				Name: reserved + "g" + strconv.Itoa(i), Type: g.Type, Init: w.inits[i].value, index: uint32(i),
			})
		default:
			w.fixed("a mutable global of type " + typeNames[g.Type])
		}
	}
	if !w.Unmetered {
		for range addedGlobals {
			l.n, l.b = l.n+1, append(l.b, I64, 1, opI64Const, 0, opEnd)
		}
	}
	return l.bytes()
}

// appendConstant writes a constant with the index that its function has now.
func (w *rewriting) appendConstant(out []byte, c constant) []byte {
	if c.op != opRefFunc {
		return append(out, c.raw...)
	}
	return append(appendLEB(append(out, opRefFunc), w.moved(uint32(c.value))), opEnd)
}

func (w *rewriting) exports() []byte {
	var l list
	add := func(name string, kind Kind, index uint32) {
		l.n++
		l.b = appendLEB(append(appendBytes(l.b, name), byte(kind)), index)
	}
	for _, e := range w.Exports {
		switch {
		case !w.keeps(e):
		case e.Kind == KindFunction:
			add(e.Name, e.Kind, w.moved(e.Index))
		default:
			add(e.Name, e.Kind, e.Index)
		}
	}
	for _, g := range w.out.Globals {
		add(g.Name, KindGlobal, g.index)
	}
	if !w.Unmetered {
		add(ExportFuel, KindGlobal, w.fuel())
		add(ExportDepth, KindGlobal, w.stackLeft())
		add(ExportTables, KindGlobal, w.tablesLeft())
		add(ExportRefused, KindGlobal, w.refused())
	}
	return l.bytes()
}
