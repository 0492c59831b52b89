package wasm_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

func TestParseRefusesInWords(t *testing.T) {
	if _, err := wasm.Parse([]byte("hello, world")); abi.CodeOf(err) != abi.CodeInvalidArgument {
		t.Errorf("text is refused with %v", err)
	}
	m, err := wasm.Parse([]byte("\x00asm\x01\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rewrite(wasm.Options{}); err != nil {
		t.Error(err)
	}
}
