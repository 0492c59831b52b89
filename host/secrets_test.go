package host_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/fetch"
)

func TestAValueThatIsNoSecretIsNotKept(t *testing.T) {
	dir := t.TempDir()
	for value, want := range map[string]string{
		"":                            "is empty",
		"\n":                          "is empty",
		"1234567":                     "has 7 bytes, and 8 are the least",
		"1234567\n":                   "has 7 bytes, and 8 are the least",
		"12345678\x00":                "can't stand in a header",
		strings.Repeat("x", 16<<10+1): "more than 16384 bytes",
	} {
		err := host.SetSecret(dir, "token", []byte(value))
		if abi.CodeOf(err) != abi.CodeInvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", value, err, want)
		}
	}
	if names, err := host.Secrets(dir); err != nil || len(names) > 0 {
		t.Errorf("kept %v, %v", names, err)
	}
	if err := host.SetSecret(dir, "token", []byte(strings.Repeat("x", fetch.MinSecretBytes))); err != nil {
		t.Error(err)
	}
	if names, err := host.Secrets(dir); err != nil || !slices.Equal(names, []string{"token"}) {
		t.Errorf("kept %v, %v", names, err)
	}
}
