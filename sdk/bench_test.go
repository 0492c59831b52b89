package sdk_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// request returns the frame of a call.
func request(t testing.TB, tool, arguments string) []byte {
	t.Helper()
	frame, err := abi.EncodeFrame(abi.CallRequest{
		Tool: tool, Session: "s-0123456789abcdef", Call: "c-0123456789abcdef", Arguments: []byte(arguments), DeadlineMS: 60_000,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// BenchmarkServe is the guest's side of a call, natively.
func BenchmarkServe(b *testing.B) {
	for _, bb := range []struct {
		tool   string
		number uint32
		in     string
	}{
		{"greet", 0, `{"name":"Ada"}`},
		{"sum", 1, `{"numbers":[1,2,39]}`},
		{"echo", 3, `{"name":"Ada","count":41}`},
	} {
		b.Run(bb.tool, func(b *testing.B) {
			frame := request(b, bb.tool, bb.in)
			b.ReportAllocs()
			for b.Loop() {
				sdk.Serve(b.Context(), bb.number, frame)
			}
		})
	}
}

// BenchmarkSandbox is the guest's side of a call in a sandbox, the copying of
// frames included, and what encoding/json alone takes there.
func BenchmarkSandbox(b *testing.B) {
	box := newSandbox(b, buildGuest(b, "./testdata/adder"))
	box.describe()
	b.Run("plain", func(b *testing.B) {
		f := box.mod.ExportedFunction("plain")
		for b.Loop() {
			if err := f.CallWithStack(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	arena, call := box.mod.ExportedFunction(abi.ExportArena), box.mod.ExportedFunction(abi.ExportCall)
	for _, bb := range []struct {
		name, tool string
		number     uint64
		in         string
	}{
		{"add", "add", 0, `{"name":"ada","count":41}`},
		{"echo64k", "echo", 1, `{"text":"` + strings.Repeat("sixteen letters ", 4<<10) + `"}`},
		{"lines64k", "echo", 1, `{"text":"` + strings.Repeat(`sixty-three bytes of text and the end of a line, as logs have it\n`, 1<<10) + `"}`},
		{"nothing", "nothing", 2, `{}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			frame := request(b, bb.tool, bb.in)
			var stack [2]uint64
			for b.Loop() {
				stack[0] = uint64(len(frame))
				if err := arena.CallWithStack(b.Context(), stack[:]); err != nil {
					b.Fatal(err)
				}
				box.mod.Memory().Write(uint32(stack[0]), frame)
				stack[0], stack[1] = bb.number, uint64(len(frame))
				if err := call.CallWithStack(b.Context(), stack[:]); err != nil {
					b.Fatal(err)
				}
				if _, n := abi.Unpack(stack[0]); n < 20 {
					b.Fatal("no answer")
				}
			}
		})
	}
}
