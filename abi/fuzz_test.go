package abi_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

// seeds returns the vectors' frames, good and bad: the corpus of every target.
func seeds(tb testing.TB, pattern string) [][]byte {
	tb.Helper()
	var list [][]byte
	for _, v := range vectors(tb, pattern) {
		list = append(list, v.frame)
	}
	return list
}

// TestFuzzTargetsHaveSeeds fails when a target would start from nothing.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	for _, pattern := range []string{"frame_*.txtar", "message_*call_response_*.txtar", "message_*kernel_execute_response*.txtar"} {
		if n := len(seeds(t, pattern)); n < 4 {
			t.Errorf("%s has %d seeds, want 4 at least", pattern, n)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, b := range seeds(f, "frame_*.txtar") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := abi.DecodeFrame(b)
		if err != nil {
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatalf("code is %v, want invalid_argument", abi.CodeOf(err))
			}
			return
		}
		again, err := abi.EncodeFrame(frame.Header, frame.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("decoded and encoded, %x became %x", b, again)
		}
	})
}

func FuzzCallResponse(f *testing.F) {
	for _, b := range seeds(f, "message_*call_response_*.txtar") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := abi.DecodeCallResponse(b)
		if err != nil {
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatalf("code is %v, want invalid_argument", abi.CodeOf(err))
			}
			return
		}
		// What was accepted can be written, and what was written says the same.
		frame, err := abi.EncodeCallResponse(first)
		if abi.CodeOf(err) == abi.CodeResourceExhausted {
			return // ranges that overlapped no longer do
		}
		if err != nil {
			t.Fatal(err)
		}
		second, err := abi.DecodeCallResponse(frame)
		if err != nil {
			t.Fatal(err)
		}
		again, err := abi.EncodeCallResponse(second)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, frame) {
			t.Fatalf("written twice:\n%q\n%q", frame, again)
		}
		if first.Result != nil {
			for i, c := range first.Result.Content {
				if !bytes.Equal(c.Data, second.Result.Content[i].Data) {
					t.Fatalf("content %d was %x and is %x", i, c.Data, second.Result.Content[i].Data)
				}
			}
		}
	})
}

func FuzzKernelExecute(f *testing.F) {
	for _, b := range seeds(f, "message_*kernel_execute_response*.txtar") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := abi.DecodeFrame(b)
		if err != nil {
			return
		}
		first, err := abi.DecodeKernelExecute(frame)
		if err != nil {
			return
		}
		again, err := abi.EncodeKernelExecute(first)
		if abi.CodeOf(err) == abi.CodeResourceExhausted {
			return // blobs that overlapped no longer do
		}
		if err != nil {
			t.Fatal(err)
		}
		frame, err = abi.DecodeFrame(again)
		if err != nil {
			t.Fatal(err)
		}
		second, err := abi.DecodeKernelExecute(frame)
		if err != nil {
			t.Fatal(err)
		}
		for i := range first.Outputs {
			for j := range first.Outputs[i].Blobs {
				if !bytes.Equal(first.Outputs[i].Blobs[j].Bytes, second.Outputs[i].Blobs[j].Bytes) {
					t.Fatalf("blob %d of output %d changed", j, i)
				}
			}
		}
		if !reflect.DeepEqual(first.Error, second.Error) {
			t.Fatalf("error was %v and is %v", first.Error, second.Error)
		}
	})
}
