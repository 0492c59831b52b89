package sdk_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
)

// A snapshot is a sandbox's state after describe, to be put back before each
// call: its memory, and its globals, which exportGlobals made visible.
type snapshot struct {
	*sandbox
	memory  []byte
	globals []uint64
}

func newSnapshot(t testing.TB, module []byte) *snapshot {
	t.Helper()
	s := &snapshot{sandbox: newSandbox(t, exportGlobals(t, module)).with(t, settings(nil))}
	s.describe()
	s.memory = bytes.Clone(s.now())
	for g := s.global(0); g != nil; g = s.global(len(s.globals)) {
		s.globals = append(s.globals, g.Get())
	}
	if len(s.globals) == 0 {
		t.Fatal("there are no globals")
	}
	return s
}

// now returns a view of the memory.
func (s *snapshot) now() []byte {
	s.t.Helper()
	memory, ok := s.mod.Memory().Read(0, s.mod.Memory().Size())
	if !ok {
		s.t.Fatal("the memory can't be read")
	}
	return memory
}

func (s *snapshot) global(i int) api.MutableGlobal {
	g, _ := s.mod.ExportedGlobal(fmt.Sprint("g", i)).(api.MutableGlobal)
	return g
}

func (s *snapshot) restore() {
	s.t.Helper()
	memory := s.now()
	clear(memory[copy(memory, s.memory):])
	for i, value := range s.globals {
		s.global(i).Set(value)
	}
}

// call calls a tool by its number from the snapshot.
func (s *snapshot) call(number uint64, frame []byte) abi.CallResponse {
	s.t.Helper()
	s.restore()
	got, err := s.mod.ExportedFunction(abi.ExportArena).Call(s.t.Context(), uint64(len(frame)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.mod.Memory().Write(uint32(got[0]), frame)
	resp, err := abi.DecodeCallResponse(s.enter(abi.ExportCall, number, uint64(len(frame))))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

func TestCallsFromASnapshotDrawDifferently(t *testing.T) {
	s := newSnapshot(t, buildGuest(t, "./testdata/probe"))
	number := slices.IndexFunc(s.describe().Tools, func(t abi.Tool) bool { return t.Name == "draw" })
	const calls = 20
	drawn := map[string]map[string]bool{}
	for range calls {
		resp := s.call(uint64(number), request(t, "draw", `{}`))
		if resp.Error != nil {
			t.Fatal(resp.Error)
		}
		var got map[string]string
		if err := json.Unmarshal(resp.Result.StructuredContent, &got); err != nil {
			t.Fatal(err)
		}
		for way, value := range got {
			if drawn[way] == nil {
				drawn[way] = map[string]bool{}
			}
			drawn[way][value] = true
		}
	}
	if len(drawn) != 6 {
		t.Errorf("drew in %d ways", len(drawn))
	}
	for way, values := range drawn {
		// A map of a hundred has a few orders only.
		if n := len(values); n < calls && (n < 3 || !strings.HasSuffix(way, "map")) {
			t.Errorf("%s: %d calls drew %d values", way, calls, n)
		}
	}
}

// exportGlobals returns a module of the Go linker's that exports its mutable
// globals, as g0 and so on.
func exportGlobals(t testing.TB, module []byte) []byte {
	t.Helper()
	out := bytes.Clone(module[:8])
	mutable := 0
	for b := module[8:]; len(b) > 0; {
		id := b[0]
		size, width := binary.Uvarint(b[1:])
		section := b[1+width:][:size]
		b = b[1+width+int(size):]
		switch id {
		case 6:
			n, at := binary.Uvarint(section)
			for range n { // type, mutability, t.const 0, end
				if !bytes.HasSuffix(section[at:at+5], []byte{0, 0x0b}) || section[at+1] != 1 {
					t.Fatalf("global %d is another's than Go's: %x", mutable, section[at:at+5])
				}
				at += 5
				mutable++
			}
		case 7:
			n, at := binary.Uvarint(section)
			more := binary.AppendUvarint(nil, n+uint64(mutable))
			more = append(more, section[at:]...)
			for i := range mutable {
				name := fmt.Sprint("g", i)
				more = append(append(more, byte(len(name))), name...)
				more = append(more, 3, byte(i))
			}
			section = more
		}
		out = append(binary.AppendUvarint(append(out, id), uint64(len(section))), section...)
	}
	return out
}
