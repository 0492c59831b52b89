package replay_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/replay"
)

// seeds are the files that the fuzzer starts from.
func seeds(t testing.TB) [][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "*"+replay.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func TestFuzzTargetHasSeeds(t *testing.T) {
	if n := len(seeds(t)); n < 3 {
		t.Errorf("%d seeds", n)
	}
}

// FuzzParse holds that what can be read can be written, and then reads and
// writes the same.
func FuzzParse(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := replay.Parse(file)
		if err != nil {
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatal(err)
			}
			return
		}
		out := c.Format()
		again, err := replay.Parse(out)
		if err != nil {
			t.Fatalf("%v\n%q\nof\n%q", err, out, file)
		}
		if !reflect.DeepEqual(again.Recording, c.Recording) || !reflect.DeepEqual(again.Files, c.Files) || again.Digest() != c.Digest() {
			t.Fatalf("it comes back different:\n%q\nof\n%q", out, file)
		}
		if !bytes.Equal(again.Format(), out) {
			t.Fatalf("it is written in two ways:\n%q\n%q", out, again.Format())
		}
		// The author's part, written anew, is the same case.
		anew, err := replay.Parse((&replay.Case{
			Tool: c.Tool, Seed: c.Seed, Time: c.Time, Arguments: c.Arguments, Config: c.Config, Fixes: c.Fixes, Files: c.Files,
		}).Format())
		if err != nil || anew.Digest() != c.Digest() {
			t.Fatalf("written anew it is another case: %v\n%q", err, file)
		}
	})
}
