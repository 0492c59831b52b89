package wasm

// section reads one section; those that only Rewrite looks into are kept.
func (m *Module) section(id byte, r *reader) {
	switch id {
	case sectionCustom:
		c := Custom{Name: r.name()}
		c.Payload = r.rest()
		m.Custom = append(m.Custom, c)
	case sectionType:
		m.readTypes(r)
	case sectionImport:
		m.readImports(r)
	case sectionFunction:
		n := r.count("functions", maxFunctions)
		m.Functions = append(make([]uint32, 0, len(m.Functions)+int(n)), m.Functions...)
		for range n {
			m.Functions = append(m.Functions, r.u32())
		}
	case sectionTable:
		for range r.count("tables", maxTables) {
			m.Tables = append(m.Tables, r.table())
		}
	case sectionMemory:
		for range r.count("memories", 1) {
			m.Memories = append(m.Memories, r.memory())
		}
	case sectionGlobal:
		n := r.count("globals", maxGlobals)
		m.inits = make([]constant, 0, n)
		for range n {
			m.Globals = append(m.Globals, r.global())
			m.inits = append(m.inits, r.constant())
			if r.err != nil {
				return
			}
		}
	case sectionExport:
		for range r.count("exports", maxExports) {
			m.Exports = append(m.Exports, Export{Name: r.name(), Kind: Kind(r.byte()), Index: r.u32()})
			if r.err != nil {
				return
			}
		}
	case sectionStart:
		m.HasStart, m.start = true, r.u32()
	case sectionTag:
		r.lacks("tags are of the exceptions proposal")
	default:
		m.sections[id] = section{body: r.b, at: r.base, there: true}
		return
	}
	r.end()
	if len(m.Memories) > 1 {
		r.lacks("%d memories", len(m.Memories))
	}
	if len(m.Tables) > maxTables {
		r.exceeds("the module has %d tables, the bound is %d", len(m.Tables), maxTables)
	}
}

func (m *Module) readTypes(r *reader) {
	n := r.count("types", maxTypes)
	m.Types = make([]Signature, 0, n)
	for range n {
		switch form := r.byte(); form {
		case 0x60:
		case 0x4e, 0x4f, 0x50, 0x5e, 0x5f:
			r.lacks("a type of form %#x is of the garbage collection proposal", form)
			return
		default:
			r.fail("a type of the unknown form %#x", form)
			return
		}
		values := func(of string) string {
			list := make([]byte, r.count(of, maxTypeValues))
			for i := range list {
				list[i] = r.valueType()
			}
			return string(list)
		}
		s := Signature{Params: values("parameters of a function")}
		s.Results = values("results of a function")
		m.Types = append(m.Types, s)
	}
}

func (m *Module) readImports(r *reader) {
	for i := range r.count("imports", maxImports) {
		imp := Import{Module: r.name(), Name: r.name(), Kind: Kind(r.byte())}
		switch imp.Kind {
		case KindFunction:
			imp.Type = r.u32()
			if r.err == nil && uint64(imp.Type) >= uint64(len(m.Types)) {
				r.fail("import %d has the unknown type %d", i, imp.Type)
			}
			m.Functions = append(m.Functions, imp.Type)
			m.importedFunctions++
		case KindTable:
			m.Tables = append(m.Tables, r.table())
		case KindMemory:
			m.Memories = append(m.Memories, r.memory())
		case KindGlobal:
			m.Globals = append(m.Globals, r.global())
			m.importedGlobals++
		case KindTag:
			r.byte()
			r.u32()
		default:
			r.fail("import %d is of the unknown kind %d", i, byte(imp.Kind))
		}
		if r.err != nil {
			return
		}
		m.Imports = append(m.Imports, imp)
	}
}

func (r *reader) valueType() byte {
	switch t := r.byte(); t {
	case I32, I64, F32, F64, V128, Funcref, Externref:
		return t
	default:
		if r.err == nil {
			r.at--
		}
		if t >= 0x63 && t < 0x78 {
			r.lacks("the value type %#x is of the garbage collection or the exceptions proposal", t)
		} else {
			r.fail("the unknown value type %#x", t)
		}
		return 0
	}
}

func (r *reader) refType() byte {
	t := r.valueType()
	if r.err == nil && t != Funcref && t != Externref {
		r.fail("the type %s where one of references belongs", typeNames[t])
	}
	return t
}

// limits reads the bounds of a table or a memory.
func (r *reader) limits() (first, most uint32, bounded bool) {
	switch flag := r.byte(); {
	case flag <= 1:
		bounded = flag == 1
	case flag <= 7:
		r.lacks("limits of kind %#x, of shared or of 64-bit memory", flag)
	default:
		r.fail("limits of the unknown kind %#x", flag)
	}
	first = r.u32()
	if bounded {
		if most = r.u32(); r.err == nil && most < first {
			r.fail("a maximum of %d is below the minimum of %d", most, first)
		}
	}
	return first, most, bounded
}

func (r *reader) table() (t Table) {
	t.Element = r.refType()
	t.Min, t.Max, t.Bounded = r.limits()
	return t
}

func (r *reader) memory() (m Memory) {
	m.Min, m.Max, m.Bounded = r.limits()
	if r.err == nil && max(m.Min, m.Max) > 1<<16 {
		r.fail("a memory of %d pages is more than 4 GiB", max(m.Min, m.Max))
	}
	return m
}

func (r *reader) global() (g Global) {
	g.Type = r.valueType()
	mutable := r.byte()
	if mutable > 1 {
		r.fail("a global's mutability is %#x", mutable)
	}
	g.Mutable = mutable == 1
	return g
}

// A constant is a constant expression: of one instruction, as Core 2.0 has
// them.
type constant struct {
	op    byte
	value uint64 // of a number its bits, of a reference its index
	raw   []byte // as it stands, its end included
}

func (r *reader) constant() (c constant) {
	from := r.at
	switch c.op = r.byte(); c.op {
	case opI32Const:
		c.value = uint64(uint32(r.signed(32)))
	case opI64Const:
		c.value = uint64(r.signed(64))
	case opF32Const:
		c.value = little(r.take(4))
	case opF64Const:
		c.value = little(r.take(8))
	case opGlobalGet, opRefFunc:
		c.value = uint64(r.u32())
	case opRefNull:
		c.value = uint64(r.refType())
	case opVector:
		if sub := r.u32(); r.err == nil && sub != vecConst {
			r.fail("the instruction 0xfd %#x in a constant", sub)
		}
		r.take(16)
	default:
		r.fail("the instruction %#x in a constant", c.op)
	}
	if op := r.byte(); r.err == nil && op != opEnd {
		r.lacks("a constant of more than one instruction, of the extended constants proposal")
	}
	if r.err == nil {
		c.raw = r.b[from:r.at]
	}
	return c
}

func little(b []byte) (v uint64) {
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v
}
