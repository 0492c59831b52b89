package abi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

func TestEveryCodeHasANameThatReadsBack(t *testing.T) {
	seen := map[string]bool{}
	for i, c := range abi.Codes() {
		if want := abi.Code(-1 - i); c != want {
			t.Errorf("code %d of the list is %d, want %d", i, c, want)
		}
		name := c.String()
		if seen[name] || name == fmt.Sprintf("code(%d)", int32(c)) {
			t.Errorf("code %d is called %q", c, name)
		}
		seen[name] = true
		var back abi.Code
		if err := back.UnmarshalText([]byte(name)); err != nil || back != c {
			t.Errorf("%q reads as %d, %v", name, back, err)
		}
	}
}

func TestUnknownCodes(t *testing.T) {
	if got := abi.Code(-99).String(); got != "code(-99)" {
		t.Errorf("-99 is called %q", got)
	}
	var e abi.Error
	if err := json.Unmarshal([]byte(`{"code":"of_the_future","message":"m"}`), &e); err != nil || e.Code != abi.CodeInternal {
		t.Errorf("a code of the future reads as %v, %v", e.Code, err)
	}
	if err := json.Unmarshal([]byte(`{"code":-3,"message":"m"}`), &e); err == nil {
		t.Error("a number was read as a code")
	}
}

func TestErrorKeepsItsCauseToItself(t *testing.T) {
	cause := fs.ErrPermission
	e := abi.Errorf(abi.CodeUnavailable, "the kernel does not start").
		WithHint("run %s", "make setup").WithCause(cause)
	if !errors.Is(e, cause) {
		t.Error("the cause is lost")
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"code":"unavailable","message":"the kernel does not start","hint":"run make setup"}`
	if string(b) != want {
		t.Errorf("on the wire: %s\nwant %s", b, want)
	}
	if got := abi.Errorf(abi.CodeInternal, "read: %w", cause); !errors.Is(got, cause) {
		t.Error("the operand of %w is lost")
	}
}

func TestAsErrorHidesWhatHasNoCode(t *testing.T) {
	secret := errors.New("dial unix /run/secret.sock")
	e := abi.AsError(secret)
	if e.Code != abi.CodeInternal || !errors.Is(e, secret) {
		t.Errorf("made %+v", e)
	}
	if b, _ := json.Marshal(e); string(b) != `{"code":"internal","message":"the host failed; its log has the cause"}` {
		t.Errorf("on the wire: %s", b)
	}
	denied := abi.Errorf(abi.CodePermissionDenied, "no")
	if got := abi.AsError(fmt.Errorf("wrapped: %w", denied)); got != denied {
		t.Errorf("found %v, want the wrapped error", got)
	}
	if abi.AsError(nil) != nil || abi.CodeOf(nil) != 0 {
		t.Error("nil became an error")
	}
}
