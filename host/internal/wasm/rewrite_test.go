package wasm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

func all(wasm.Export) bool { return true }

func TestDataIsTakenOut(t *testing.T) {
	g := guest{memory: "\x00\x01", raw: map[byte]string{
		11: "\x03\x00" + i32Const(5) + end + vec("first") + "\x01" + vec("passive") + "\x02\x00" + i32Const(65_533) + end + vec("end"),
	}}
	r, err := rewrite(g.encode(), wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Data) != 2 || r.Data[0].Offset != 5 || string(r.Data[0].Bytes) != "first" || r.Data[1].Offset != 65_533 || string(r.Data[1].Bytes) != "end" {
		t.Errorf("the data is %v", r.Data)
	}
	if strings.Contains(string(r.Wasm), "first") || strings.Contains(string(r.Wasm), "passive") {
		t.Error("data that nothing names is still in the module")
	}
}

func TestSegmentsKeepTheirNumbers(t *testing.T) {
	initialize := func(n int) string {
		return i32Const(0) + i32Const(0) + get(0) + "\xfc\x08" + leb(n) + "\x00"
	}
	g := guest{memory: "\x00\x01", raw: map[byte]string{
		11: "\x03\x00" + i32Const(100) + end + vec("active") + "\x01" + vec("passive") + "\x01" + vec("other"), 12: "\x03",
	}, funcs: []function{
		{export: "active", params: i32, code: initialize(0)},
		{export: "passive", params: i32, code: initialize(1)},
		{export: "drop", code: "\xfc\x09\x01"},
	}}
	s := stage(t, g.encode())
	s.call("active", 0)
	if _, err := s.try(1<<20, "active", 1); err == nil {
		t.Error("an active segment is there after it was written")
	}
	s.call("passive", 7)
	if b, _ := s.Memory().Read(0, 7); string(b) != "passive" {
		t.Errorf("memory.init wrote %q", b)
	}
	s.call("drop")
	if _, err := s.try(1<<20, "passive", 1); err == nil {
		t.Error("a segment is there after it was dropped")
	}
}

func TestGlobalsCanBeReadAndSet(t *testing.T) {
	g := guest{globals: []string{
		i32 + "\x01" + i32Const(-7) + end, i64 + "\x00" + i64Const(1) + end, i64 + "\x01" + i64Const(-1) + end,
		"\x7d\x01\x43\x00\x00\x80\x3f" + end, "\x7c\x01\x44\x00\x00\x00\x00\x00\x00\xf0\x3f" + end,
	}, funcs: []function{{export: "get", results: i64, code: "\x23\x02"}}}
	s := stage(t, g.encode())
	want := []struct {
		typ  byte
		init uint64
	}{{wasm.I32, 1<<32 - 7}, {wasm.I64, 1<<64 - 1}, {wasm.F32, 0x3f800000}, {wasm.F64, 0x3ff0000000000000}}
	if len(s.rewritten.Globals) != len(want) {
		t.Fatalf("the globals are %v", s.rewritten.Globals)
	}
	for i, w := range want {
		got := s.rewritten.Globals[i]
		if got.Type != w.typ || got.Init != w.init || s.ExportedGlobal(got.Name).Get() != w.init {
			t.Errorf("global %d is %+v and holds %#x, want %+v", i, got, s.ExportedGlobal(got.Name).Get(), w)
		}
	}
	s.ExportedGlobal(s.rewritten.Globals[1].Name).(api.MutableGlobal).Set(42)
	if got := s.call("get"); got != 42 {
		t.Errorf("a global that was set to 42 is %d", got)
	}
	if s.rewritten.Fixed != "" {
		t.Errorf("the module is fixed for %s", s.rewritten.Fixed)
	}
}

func TestWhatCannotBePutBackIsNamed(t *testing.T) {
	table, zeros := "\x70\x00\x01", i32Const(0)+i32Const(0)+i32Const(0)
	element, data := "\x01\x01\x00\x01\x00", "\x01\x01\x00"
	for why, g := range map[string]guest{
		"table.set":                        {tables: []string{table}, funcs: []function{{code: i32Const(0) + "\xd0\x70\x26\x00"}}},
		"table.grow":                       {tables: []string{table}, funcs: []function{{code: "\xd0\x70" + i32Const(0) + "\xfc\x0f\x00" + drop}}},
		"table.fill":                       {tables: []string{table}, funcs: []function{{code: i32Const(0) + "\xd0\x70" + i32Const(0) + "\xfc\x11\x00"}}},
		"table.copy":                       {tables: []string{table}, funcs: []function{{code: zeros + "\xfc\x0e\x00\x00"}}},
		"table.init":                       {tables: []string{table}, funcs: []function{{code: zeros + "\xfc\x0c\x00\x00"}}, raw: map[byte]string{9: element}},
		"elem.drop":                        {tables: []string{table}, funcs: []function{{code: "\xfc\x0d\x00"}}, raw: map[byte]string{9: element}},
		"memory.init":                      {memory: "\x00\x01", funcs: []function{{code: zeros + "\xfc\x08\x00\x00"}}, raw: map[byte]string{11: data, 12: "\x01"}},
		"data.drop":                        {memory: "\x00\x01", funcs: []function{{code: "\xfc\x09\x00"}}, raw: map[byte]string{11: data, 12: "\x01"}},
		"a mutable global of type v128":    {globals: []string{"\x7b\x01\xfd\x0c" + strings.Repeat("\x00", 16) + end}},
		"a mutable global of type funcref": {globals: []string{"\x70\x01\xd0\x70" + end}},
	} {
		for _, o := range []wasm.Options{metered, unmetered} {
			r, err := rewrite(g.encode(), o)
			if err != nil || r.Fixed != why {
				t.Errorf("a module with %s is fixed for %v, %v", why, r, err)
			}
		}
	}
}

func TestExportsAreThoseThatAreKept(t *testing.T) {
	g := guest{memory: "\x00\x01", funcs: []function{{export: "a"}, {export: "b"}}, custom: map[string]string{"note": "keep out"}}
	r, err := rewrite(g.encode(), wasm.Options{Keep: func(e wasm.Export) bool { return e.Name == "b" }})
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasm.Parse(r.Wasm)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range m.Exports {
		names = append(names, e.Name)
	}
	if want := []string{"b", wasm.ExportFuel, wasm.ExportDepth, wasm.ExportTables, wasm.ExportRefused}; !slices.Equal(names, want) || len(m.Custom) != 0 {
		t.Errorf("the exports are %v, the custom sections %v", names, m.Custom)
	}
}

func TestFunctionsKeepTheirNames(t *testing.T) {
	names := "\x01" + vec("\x02\x00"+vec("outside")+"\x01"+vec("inside"))
	g := guest{imports: []function{{export: "nothing"}}, funcs: []function{{export: "run", code: "\x00"}}, custom: map[string]string{"name": names}}
	if _, err := stage(t, g.encode()).try(1<<20, "run"); err == nil || !strings.Contains(err.Error(), ".inside()") {
		t.Errorf("the trap is %v", err)
	}
	g.custom["name"] = "\x01" + vec("\x02\x01"+vec("b")+"\x00"+vec("a")) // out of order
	if _, err := stage(t, g.encode()).try(1<<20, "run"); err == nil || strings.Contains(err.Error(), ".b()") {
		t.Errorf("with damaged names the trap is %v", err)
	}
}

func TestAReferenceNeedsNoExportThatIsDropped(t *testing.T) {
	g := guest{tables: []string{"\x70\x00\x01"}, funcs: []function{
		{export: "seven", results: i32, code: i32Const(7)},
		{export: "run", results: i32, code: i32Const(0) + "\xd2\x00\x26\x00" + i32Const(0) + "\x11\x00\x00"},
	}}
	r, err := rewrite(g.encode(), wasm.Options{Keep: func(e wasm.Export) bool { return e.Name == "run" }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newRuntime(t).CompileModule(t.Context(), r.Wasm); err != nil {
		t.Error(err)
	}
	if got := stage(t, g.encode()).call("run"); got != 7 {
		t.Errorf("the function called through a table returns %d", got)
	}
}

func TestWhatItStartsWithIsStillTheSame(t *testing.T) {
	g := guest{imports: []function{{export: "nothing"}}, start: "\x02", globals: []string{i32 + "\x01" + i32Const(0) + end},
		funcs: []function{{code: "\x00"}, {code: call(0) + i32Const(9) + "\x24\x00"}}}
	s := stage(t, g.encode())
	if got := s.ExportedGlobal(s.rewritten.Globals[0].Name).Get(); got != 9 {
		t.Errorf("what it starts with left %d", got)
	}
}

// refusal is how a module is refused.
type refusal struct {
	guest guest
	code  abi.Code
	text  string
}

func (r refusal) check(t *testing.T) {
	t.Helper()
	for _, o := range []wasm.Options{metered, unmetered, {Keep: all}} {
		_, err := rewrite(r.guest.encode(), o)
		if abi.CodeOf(err) != r.code || !strings.Contains(err.Error(), r.text) {
			t.Errorf("it is refused with %v, want %s: …%s…", err, r.code, r.text)
		}
	}
}

func run(code string) guest {
	return guest{memory: "\x00\x01", tables: []string{"\x70\x00\x01"}, funcs: []function{{export: "run", code: code}}}
}

func TestProposalsThatAreNotRunAreNamed(t *testing.T) {
	raw := func(section byte, body string) guest { return guest{raw: map[byte]string{section: body}} }
	for name, g := range map[string]guest{
		"threads":                  run("\xfe\x03\x00"),
		"tail calls":               run("\x12\x00"),
		"exceptions":               run("\x06\x40" + end),
		"garbage collection":       run("\xfb\x00\x00"),
		"typed references":         run("\x14\x00"),
		"relaxed vectors":          run("\xfd\x80\x02"),
		"multiple memories":        run(i32Const(0) + "\x28\x42\x01\x00" + drop),
		"shared or of 64-bit":      raw(5, "\x01\x03\x01\x01"),
		"extended constants":       raw(6, "\x01"+i32+"\x00"+i32Const(1)+i32Const(2)+add32+end),
		"tags are of the":          raw(13, "\x01\x00\x00"),
		"a type of form 0x5f":      raw(1, "\x01\x5f\x00"),
		"the value type 0x6e":      {raw: map[byte]string{1: "\x01\x60\x01\x6e\x00", 3: "\x00", 10: "\x00"}},
		"the instruction 0xd4, of": run("\xd4"),
		"2 memories":               {memory: "\x00\x01", raw: map[byte]string{2: "\x01" + vec("a") + vec("b") + "\x02\x00\x01"}},
	} {
		t.Run(name, func(t *testing.T) { refusal{g, abi.CodeUnimplemented, name}.check(t) })
	}
}

func TestIndicesReachNothingThatWasAdded(t *testing.T) {
	for name, r := range map[string]refusal{
		"a function":            {guest: run(call(1)), text: "function 0 at byte"},
		"a reference":           {guest: run("\xd2\x01" + drop), text: "the unknown function 1"},
		"a type":                {guest: run(i32Const(0) + "\x11\x01\x00"), text: "the unknown type 1"},
		"a block's type":        {guest: run("\x02\x01" + end), text: "the unknown type 1"},
		"a global":              {guest: run("\x23\x00" + drop), text: "the unknown global 0"},
		"a global that is set":  {guest: run(i64Const(1) + "\x24\x00"), text: "the unknown global 0"},
		"a local":               {guest: run(get(0) + drop), text: "the unknown local 0"},
		"a local that is set":   {guest: run(call(0) + i64Const(1) + set(0)), text: "the unknown local 0"},
		"a table":               {guest: run(i32Const(0) + "\x25\x01" + drop), text: "the unknown table 1"},
		"a table to call":       {guest: run(i32Const(0) + "\x11\x00\x01"), text: "the unknown table 1"},
		"a label":               {guest: run(loop + br(2) + end), text: "a branch out of 3 blocks, and 2 are open"},
		"a label of a switch":   {guest: run(i32Const(0) + "\x0e\x00\x01"), text: "a branch out of 2 blocks"},
		"a data segment":        {guest: run("\xfc\x09\x00"), text: "data.drop in a module without a data count"},
		"an element segment":    {guest: run("\xfc\x0d\x00"), text: "the unknown element segment 0"},
		"an export":             {guest: guest{raw: map[byte]string{7: "\x01" + vec("x") + "\x00\x00"}}, text: "the export x is of the unknown function 0"},
		"an exported global":    {guest: guest{raw: map[byte]string{7: "\x01" + vec("x") + "\x03\x00"}}, text: "the export x is of the unknown global 0"},
		"a start":               {guest: guest{start: "\x00"}, text: "it starts with the unknown function 0"},
		"an element":            {guest: guest{tables: []string{"\x70\x00\x01"}, raw: map[byte]string{9: "\x01\x00" + i32Const(0) + end + "\x01\x00"}}, text: "the unknown function 0"},
		"a global's beginning":  {guest: guest{globals: []string{"\x70\x00\xd2\x00" + end}}, text: "the global 0 begins as something unknown"},
		"a function's type":     {guest: guest{raw: map[byte]string{3: "\x01\x05", 10: "\x01\x02\x00\x0b"}}, text: "function 0 has the unknown type 5"},
		"data beyond a memory":  {guest: guest{memory: "\x00\x01", raw: map[byte]string{11: "\x01\x00" + i32Const(65_535) + end + vec("ab")}}, text: "ends at 65537, and the memory at 65536"},
		"data before a memory":  {guest: guest{memory: "\x00\x01", raw: map[byte]string{11: "\x01\x00" + i32Const(-1) + end + vec("a")}}, text: "the data segment 0 ends at"},
		"data without a memory": {guest: guest{raw: map[byte]string{11: "\x01\x00" + i32Const(0) + end + "\x00"}}, text: "there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			r.code = abi.CodeInvalidArgument
			r.check(t)
		})
	}
}

func TestMalformedCodeIsRefusedInItsFunction(t *testing.T) {
	for text, code := range map[string]string{
		"an operand is missing":                  add32,
		"1 operands are left over":               i32Const(1),
		"an else without an if":                  "\x05",
		"bytes are left over":                    end,
		"the unknown instruction 0x16":           "\x16",
		"the unknown instruction 0xfc 0x63":      "\xfc\x63",
		"the unknown instruction 0xfd 0x9a":      "\xfd\x9a\x01",
		"a number has more than 32 bits":         "\x41\xff\xff\xff\xff\x7f" + "\x41\xff\xff\xff\xff\x3f",
		"a select of 2 types":                    "\x1c\x02" + i32 + i32,
		"it ends too early":                      block,
		"takes 0 operands and leaves 1":          i32Const(1) + "\x04" + i32 + i32Const(1) + end + drop,
		"the targets of a br_table take 0 and 1": block + "\x02" + i32 + i32Const(0) + "\x0e\x01\x01\x00" + end + drop + end,
	} {
		g := run(code)
		g.custom = map[string]string{"name": "\x01" + vec("\x01\x00"+vec("main.run"))}
		refusal{g, abi.CodeInvalidArgument, text}.check(t)
		refusal{g, abi.CodeInvalidArgument, "function 0 (main.run) at byte"}.check(t)
	}
}

func TestWhatCompilesTooLongIsRefused(t *testing.T) {
	one := func(locals int, code string) guest {
		return guest{memory: "\x00\x01", funcs: []function{{export: "run", groups: 1, locals: leb(locals) + i32, code: code}}}
	}
	var spread strings.Builder
	for i := range 4_000 {
		spread.WriteString(get(i) + set(0))
	}
	for name, g := range map[string]guest{
		"a function of many blocks":            one(1, strings.Repeat(get(0)+ifThen+end, 50_000)),
		"many blocks and locals":               one(4_000, strings.Repeat(loop+get(0)+brIf(0)+end, 400)+spread.String()),
		"a function of many loads":             one(1, strings.Repeat(get(0)+"\x28\x02\x00"+set(0), 500_000)),
		"deep nesting":                         one(1, strings.Repeat(block, 10_001)+strings.Repeat(end, 10_001)),
		"many operands":                        one(1, strings.Repeat(get(0), 60_000)+strings.Repeat(drop, 60_000)),
		"many locals":                          one(50_001, ""),
		"many locals in all":                   {raw: map[byte]string{1: "\x01\x60\x00\x00", 3: leb(400) + strings.Repeat("\x00", 400), 10: leb(400) + strings.Repeat(vec("\x01"+leb(50_000)+i32+end), 400)}},
		"many types":                           {raw: map[byte]string{1: leb(20_000) + strings.Repeat("\x60\x00\x00", 20_000)}},
		"large tables":                         {tables: []string{"\x70\x00" + leb(1<<19), "\x70\x00" + leb(1<<19+1)}},
		"many tables":                          {tables: slices.Repeat([]string{"\x70\x00\x00"}, 9)},
		"many operands by the types of blocks": {raw: map[byte]string{1: "\x01\x60\x00" + vec(strings.Repeat(i32, 1000)), 3: "\x01\x00", 10: "\x01" + vec("\x00"+strings.Repeat(call(0), 60)+end)}},
	} {
		t.Run(name, func(t *testing.T) { refusal{g, abi.CodeResourceExhausted, ""}.check(t) })
	}
}

func TestAModuleImportsFunctionsAlone(t *testing.T) {
	for kind, desc := range map[string]string{"table": "\x01\x70\x00\x01", "memory": "\x02\x00\x01", "global": "\x03" + i32 + "\x00", "tag": "\x04\x00\x00"} {
		g := guest{raw: map[byte]string{2: "\x01" + vec("env") + vec("x") + desc}}
		refusal{g, abi.CodeInvalidArgument, fmt.Sprintf("env.x, is a %s: plugins import functions alone", kind)}.check(t)
	}
}

func TestCustomSectionsAreTakenOutAndPutIn(t *testing.T) {
	original := (&guest{funcs: []function{{export: "run"}}}).encode()
	b := wasm.AppendCustom(slices.Clone(original), "first", []byte("1"))
	b = wasm.AppendCustom(b, "second", nil)
	m, err := wasm.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Custom) != 2 || m.Custom[0].Name != "first" || string(m.Custom[0].Payload) != "1" || m.Custom[1].Payload == nil {
		t.Errorf("the sections are %v", m.Custom)
	}
	if got := m.Without("first", "second"); !slices.Equal(got, original) {
		t.Error("without its sections the module isn't what it was")
	}
	if got := m.Without("second"); !slices.Equal(got, wasm.AppendCustom(slices.Clone(original), "first", []byte("1"))) {
		t.Error("without one section the other isn't there as it was")
	}
}

func TestSignaturesAreReadable(t *testing.T) {
	for want, s := range map[string]wasm.Signature{
		"() → ()":               {},
		"(i32, i64) → f32":      {Params: i32 + i64, Results: "\x7d"},
		"(v128) → (i32, f64)":   {Params: "\x7b", Results: i32 + "\x7c"},
		"(funcref) → externref": {Params: "\x70", Results: "\x6f"},
	} {
		if s.String() != want {
			t.Errorf("%s, want %s", s, want)
		}
	}
}
