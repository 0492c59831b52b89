package engine_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

func TestAdmission(t *testing.T) {
	with := func(change func(*guest)) []byte {
		g := newGuest()
		change(g)
		return g.encode()
	}
	section := func(id byte, body string) []byte {
		return with(func(g *guest) { g.raw = map[byte]string{id: body} })
	}
	const huge = "\xff\xff\xff\xff\x0f"
	op := i32 + i32 + i32 + i32
	for _, test := range []struct {
		name    string
		wasm    []byte
		options engine.Options
		code    abi.Code // 0 is admitted
		texts   []string
		hint    string
	}{
		{name: "a plugin is admitted", wasm: newGuest().encode()},
		{name: "an empty file is no module", wasm: nil, code: abi.CodeInvalidArgument, texts: []string{"the file is empty"}},
		{name: "a text is no module", wasm: []byte("#!/bin/sh\necho"), code: abi.CodeInvalidArgument, texts: []string{"not a WebAssembly module"}},
		{name: "a component is no core module", wasm: []byte("\x00asm\x0d\x00\x01\x00"), code: abi.CodeInvalidArgument, texts: []string{"core"}, hint: "wasip1"},
		{name: "a module with nothing in it is no plugin", wasm: []byte("\x00asm\x01\x00\x00\x00"), code: abi.CodeInvalidArgument, texts: []string{"not a plugin", abi.ExportArena}},
		{
			name: "a program is no plugin, and is told how to become one",
			wasm: with(func(g *guest) { g.funcs = []function{{export: "_start"}} }),
			code: abi.CodeInvalidArgument, texts: []string{"not a plugin"}, hint: "c-shared",
		},
		{
			name: "an export is missing",
			wasm: with(func(g *guest) { g.function(abi.ExportCall).export = "call" }),
			code: abi.CodeInvalidArgument, texts: []string{"not a plugin", abi.ExportCall},
		},
		{
			name: "a newer ABI",
			wasm: with(func(g *guest) {
				for i := range g.funcs {
					g.funcs[i].export = strings.Replace(g.funcs[i].export, "v1", "v2", 1)
				}
			}),
			code: abi.CodeUnimplemented, texts: []string{"the plugin speaks ABI 2, this host speaks 1"}, hint: "update the host",
		},
		{
			name: "a plugin of both versions is taken by ours",
			wasm: with(func(g *guest) {
				g.funcs = append(g.funcs, function{export: "sallyport_v2_call", params: i64, results: i64, code: get(0)})
			}),
		},
		{
			name: "an export of another signature",
			wasm: with(func(g *guest) {
				*g.function(abi.ExportArena) = function{export: abi.ExportArena, results: i32, code: i32Const(0)}
			}),
			code: abi.CodeInvalidArgument, texts: []string{abi.ExportArena, "() → i32", "(i32) → i32"},
		},
		{
			name: "an export that is no function",
			wasm: with(func(g *guest) {
				g.function(abi.ExportDescribe).export = ""
				g.exports[abi.ExportDescribe] = "\x02\x00"
			}),
			code: abi.CodeInvalidArgument, texts: []string{abi.ExportDescribe, "is a memory"},
		},
		{
			name: "_initialize of another signature",
			wasm: with(func(g *guest) {
				g.funcs = append(g.funcs, function{export: abi.ExportInitialize, results: i32, code: i32Const(0)})
			}),
			code: abi.CodeInvalidArgument, texts: []string{"_initialize", "() → i32"},
		},
		{
			name: "no memory is exported",
			wasm: with(func(g *guest) { delete(g.exports, abi.ExportMemory) }),
			code: abi.CodeInvalidArgument, texts: []string{"exports no memory"},
		},
		{
			name: "an export twice",
			wasm: with(func(g *guest) { g.exports[abi.ExportCall] = "\x00\x00" }),
			code: abi.CodeInvalidArgument, texts: []string{"twice", abi.ExportCall},
		},
		{
			name:    "the modules of the manifest, and those that need none",
			options: engine.Options{Modules: []string{abi.ModuleKernel}},
			wasm: with(func(g *guest) {
				g.use(abi.ModuleKernel, "execute", op, i64)
				g.use(abi.ModuleCall, "log", op, i64)
				g.use(abi.ModuleCall, "response", i32+i32, i64)
				g.use(abi.ModuleWASI, "random_get", i32+i32, i32)
			}),
		},
		{
			name: "a module beyond the manifest",
			wasm: with(func(g *guest) {
				g.use(abi.ModuleCall, "log", op, i64)
				g.use(abi.ModuleKernel, "execute", op, i64)
			}),
			code: abi.CodeInvalidArgument, texts: []string{"imports sallyport:kernel beyond its manifest", "import 1", "execute"}, hint: "plugin.yaml",
		},
		{
			name: "a module of ours that nobody knows is beyond every manifest",
			wasm: with(func(g *guest) { g.use("sallyport:time", "travel", op, i64) }),
			code: abi.CodeInvalidArgument, texts: []string{"sallyport:time beyond its manifest"},
		},
		{
			name:    "an unknown function of a known module",
			options: engine.Options{Modules: []string{abi.ModuleKernel}},
			wasm:    with(func(g *guest) { g.use(abi.ModuleKernel, "explode", op, i64) }),
			code:    abi.CodeUnimplemented, texts: []string{"sallyport:kernel.explode"},
		},
		{
			name: "an unknown function of WASI",
			wasm: with(func(g *guest) { g.use(abi.ModuleWASI, "sock_open", i32, i32) }),
			code: abi.CodeUnimplemented, texts: []string{"wasi_snapshot_preview1.sock_open"},
		},
		{
			name: "an operation of another signature",
			wasm: with(func(g *guest) { g.use(abi.ModuleCall, "log", i32+i32, i64) }),
			code: abi.CodeInvalidArgument, texts: []string{"sallyport:call.log", "(i32, i32) → i64", "(i32, i32, i32, i32) → i64"},
		},
		{
			name: "response of another signature",
			wasm: with(func(g *guest) { g.use(abi.ModuleCall, "response", op, i64) }),
			code: abi.CodeInvalidArgument, texts: []string{"sallyport:call.response"},
		},
		{
			name: "a function of WASI of another signature",
			wasm: with(func(g *guest) { g.use(abi.ModuleWASI, "fd_write", i32, i32) }),
			code: abi.CodeInvalidArgument, texts: []string{"fd_write", "(i32) → i32"},
		},
		{
			name: "a foreign module",
			wasm: with(func(g *guest) {
				g.use(abi.ModuleCall, "log", op, i64)
				g.use("env", "system", i32, i32)
			}),
			code: abi.CodeInvalidArgument, texts: []string{"import 1", "env.system"},
		},
		{
			name: "a memory from outside",
			wasm: section(2, "\x01"+vec("env")+vec("memory")+"\x02\x00\x01"),
			code: abi.CodeUnimplemented, texts: []string{"2 memories"},
		},
		{
			name:    "a first memory over the limit",
			options: engine.Options{Limits: abi.Limits{MemoryMiB: 1}},
			wasm:    with(func(g *guest) { g.memory = "\x00" + leb(32) }),
			code:    abi.CodeResourceExhausted, texts: []string{"2 MiB", "1 MiB"},
		},
		{
			name:    "a first memory at the limit",
			options: engine.Options{Limits: abi.Limits{MemoryMiB: 1}},
			wasm:    with(func(g *guest) { g.memory = "\x00\x10" }),
		},
		{
			name: "a memory that is shared",
			wasm: with(func(g *guest) { g.memory = "\x03\x01\x01" }),
			code: abi.CodeUnimplemented, texts: []string{"memory section", "shared"},
		},
		{
			name: "a start function",
			wasm: with(func(g *guest) {
				g.funcs = append(g.funcs, function{})
				g.start = 3
			}),
			code: abi.CodeInvalidArgument, texts: []string{"start function"}, hint: "reactor",
		},
		{
			name: "a table beyond the bound",
			wasm: with(func(g *guest) { g.table = "\x70\x00" + leb(1<<21) }),
			code: abi.CodeResourceExhausted, texts: []string{"table", "2097152", "131072"},
		},
		{
			name: "a function with more locals than any",
			wasm: with(func(g *guest) { g.funcs = append(g.funcs, function{locals: 1 << 30}) }),
			code: abi.CodeResourceExhausted, texts: []string{"function 3", "locals"},
		},
		{name: "types that are only announced", wasm: section(1, huge), code: abi.CodeResourceExhausted, texts: []string{"types"}},
		{name: "imports that are only announced", wasm: section(2, huge), code: abi.CodeResourceExhausted, texts: []string{"imports"}},
		{name: "functions that are only announced", wasm: section(3, huge), code: abi.CodeResourceExhausted, texts: []string{"functions"}},
		{name: "tables that are only announced", wasm: section(4, huge), code: abi.CodeResourceExhausted, texts: []string{"tables"}},
		{name: "memories that are only announced", wasm: section(5, huge), code: abi.CodeResourceExhausted, texts: []string{"memories"}},
		{name: "globals that are only announced", wasm: section(6, huge), code: abi.CodeResourceExhausted, texts: []string{"globals"}},
		{name: "some globals that are only announced", wasm: section(6, leb(20_000)), code: abi.CodeInvalidArgument, texts: []string{"globals"}},
		{name: "exports that are only announced", wasm: section(7, huge), code: abi.CodeResourceExhausted, texts: []string{"exports"}},
		{name: "elements that are only announced", wasm: section(9, "\x01\x01\x00"+huge), code: abi.CodeResourceExhausted, texts: []string{"elements"}},
		{name: "elements of a type that shifts what follows", wasm: section(9, "\x01\x05\x63\x70"+huge), code: abi.CodeInvalidArgument, texts: []string{"element"}},
		{name: "function bodies that are only announced", wasm: section(10, huge), code: abi.CodeResourceExhausted, texts: []string{"functions"}},
		{name: "data that is only announced", wasm: section(11, "\x01\x01"+huge), code: abi.CodeInvalidArgument, texts: []string{"data section"}},
		{name: "a section of an unknown kind", wasm: section(13, "\x00"), code: abi.CodeUnimplemented, texts: []string{"tag section"}},
		{name: "a section twice", wasm: append(newGuest().encode(), "\x05\x03\x01\x00\x01"...), code: abi.CodeInvalidArgument, texts: []string{"memory section", "out of place"}},
		{name: "bytes that are left over", wasm: section(5, "\x01\x00\x01\x00"), code: abi.CodeInvalidArgument, texts: []string{"memory section", "left over"}},
		{
			name: "segments, globals and constants of every kind",
			wasm: with(func(g *guest) {
				g.table = "\x70\x01\x04\x04"
				g.globals = []string{
					i32 + "\x01" + i32Const(-1) + "\x0b",
					i64 + "\x00" + i64Const(-1) + "\x0b",
					"\x7d\x00\x43\x00\x00\x80\x3f\x0b",
					"\x7c\x00\x44\x00\x00\x00\x00\x00\x00\xf0\x3f\x0b",
					"\x7b\x00\xfd\x0c" + strings.Repeat("\x01", 16) + "\x0b",
					"\x70\x00\xd2\x00\x0b",
					"\x6f\x00\xd0\x6f\x0b",
				}
				at := i32Const(0) + "\x0b"
				g.raw = map[byte]string{
					9: list([]string{
						"\x00" + at + "\x01\x00", "\x01\x00\x01\x00", "\x02\x00" + at + "\x00\x01\x00", "\x03\x00\x01\x00",
						"\x04" + at + "\x01\xd2\x00\x0b", "\x05\x70\x01\xd0\x70\x0b", "\x06\x00" + at + "\x70\x01\xd2\x01\x0b", "\x07\x70\x01\xd2\x00\x0b",
					}),
					11: list([]string{"\x00" + at + vec("a"), "\x01" + vec("b"), "\x02\x00" + at + vec("c")}),
					12: "\x03",
				}
			}),
		},
		{name: "a constant that goes on", wasm: section(6, "\x01"+i32+"\x00"+i32Const(1)+i32Const(1)+"\x6a\x0b"), code: abi.CodeUnimplemented, texts: []string{"global section", "constant"}},
		{name: "a constant that is none", wasm: section(6, "\x01"+i32+"\x00\x10\x00\x0b"), code: abi.CodeInvalidArgument, texts: []string{"0x10", "constant"}},
		{name: "a number that never ends", wasm: section(11, strings.Repeat("\x80", 20)), code: abi.CodeInvalidArgument, texts: []string{"data section", "more than 32 bits"}},
		{name: "a number beyond 32 bits", wasm: section(11, "\xff\xff\xff\xff\x7f"), code: abi.CodeInvalidArgument, texts: []string{"more than 32 bits"}},
		{name: "a name that isn't UTF-8", wasm: section(7, "\x01"+vec("\xff")+"\x00\x00"), code: abi.CodeInvalidArgument, texts: []string{"UTF-8"}},
		{name: "a type that isn't a function's", wasm: section(1, "\x01\x5f\x00"), code: abi.CodeUnimplemented, texts: []string{"0x5f"}},
		{name: "a reference type that we don't run", wasm: section(1, "\x01\x60\x01\x64\x70\x00"), code: abi.CodeUnimplemented, texts: []string{"0x64"}},
		{name: "more parameters than any function has", wasm: section(1, "\x01\x60"+vec(strings.Repeat(i32, 1001))+"\x00"), code: abi.CodeResourceExhausted, texts: []string{"1001 parameters"}},
		{
			name: "code that isn't valid",
			wasm: with(func(g *guest) { g.onCall(i32Const(1), 0) }),
			code: abi.CodeInvalidArgument, texts: []string{"not a valid module"},
		},
		{
			name: "names that aren't in order are left out",
			wasm: with(func(g *guest) { g.custom = map[string]string{"name": "\x01" + vec(huge), "sallyport.manifest": "{"} }),
		},
		{name: "a memory limit out of bounds", wasm: newGuest().encode(), options: engine.Options{Limits: abi.Limits{MemoryMiB: 4097}}, code: abi.CodeInvalidArgument, texts: []string{"4097"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := newEngine(t, engine.Config{}).Compile(t.Context(), test.wasm, test.options)
			if test.code == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if answer, err := p.Call(t.Context(), engine.Call{Request: []byte("ping")}); err != nil || string(answer.Response) != "ping" {
					t.Fatalf("called, it answers %q, %v", answer.Response, err)
				}
				return
			}
			if e := refused(t, err, test.code, test.texts...); !strings.Contains(e.Hint, test.hint) {
				t.Errorf("got the hint %q, want %q in it", e.Hint, test.hint)
			}
		})
	}
}

func TestTruncatedModulesAreRefused(t *testing.T) {
	g := newGuest()
	g.table = "\x70\x00\x01"
	g.use(abi.ModuleCall, "log", i32+i32+i32+i32, i64)
	wasm := g.encode()
	e := newEngine(t, engine.Config{})
	for n := range wasm {
		_, err := e.Compile(t.Context(), wasm[:n], engine.Options{})
		refused(t, err, abi.CodeInvalidArgument)
	}
	compile(t, e, wasm, engine.Options{})
}

func TestTruncatedGoPluginIsRefusedAndSaysWhere(t *testing.T) {
	wasm := probeWasm(t)
	_, err := newEngine(t, engine.Config{}).Compile(t.Context(), wasm[:len(wasm)/2], engine.Options{Modules: []string{abi.ModuleKernel}})
	refused(t, err, abi.CodeInvalidArgument, "truncated", "at byte")
}

func TestModuleOverTheSizeBoundIsRefused(t *testing.T) {
	wasm := newGuest().encode()
	_, err := newEngine(t, engine.Config{MaxModuleBytes: len(wasm) - 1}).Compile(t.Context(), wasm, engine.Options{})
	refused(t, err, abi.CodeResourceExhausted, "bytes")
	compile(t, newEngine(t, engine.Config{MaxModuleBytes: len(wasm)}), wasm, engine.Options{})
}

func TestDataOutsideTheMemoryIsRefused(t *testing.T) {
	g := newGuest()
	g.raw = map[byte]string{11: "\x01\x00" + i32Const(65536) + "\x0b" + vec("x")}
	_, err := newEngine(t, engine.Config{}).Compile(t.Context(), g.encode(), engine.Options{})
	refused(t, err, abi.CodeInvalidArgument, "data")
}

func TestTableGrowthIsBounded(t *testing.T) {
	g := newGuest()
	g.table = "\x70\x00\x01" // no maximum
	refNull, grow := "\xd0\x70", "\xfc\x0f\x00"
	for _, test := range []struct{ by, want int }{{10, 1}, {1 << 20, -1}, {1<<31 - 1, -1}} {
		g.onCall(answerWith(refNull+i32Const(test.by)+grow+extendS), 0)
		answer, err := plugin(t, g).Call(t.Context(), engine.Call{})
		if err != nil {
			t.Fatal(err)
		}
		if got := number(t, answer); got != int64(test.want) {
			t.Errorf("table.grow by %d gives %d, want %d", test.by, got, test.want)
		}
	}
}
