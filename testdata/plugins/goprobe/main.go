// Command goprobe is a plugin that does the operations of a trace vector of
// testdata/abi through the SDK, and tells what each came to.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

type step struct {
	Op      string          `json:"op"`
	Request json.RawMessage `json:"request"`
	Body    string          `json:"body,omitempty"`
}

type args struct {
	Steps []step `json:"steps"`
}

func init() {
	sdk.Tool("trace", "Does what a trace vector says.", func(ctx sdk.Context, in args) (string, error) {
		var lines strings.Builder
		for _, s := range in.Steps {
			fmt.Fprintf(&lines, "<== %s\n", do(ctx, s))
		}
		return lines.String(), nil
	})
}

// do carries out one step and shows its response, or its error.
func do(ctx sdk.Context, s step) string {
	body, err := hex.DecodeString(s.Body)
	if err != nil {
		return err.Error()
	}
	f, err := sdk.Invoke(ctx, s.Op, imports[s.Op], s.Request, body)
	if err != nil {
		b, _ := json.Marshal(abi.AsError(err))
		return abi.CodeOf(err).String() + " " + string(b)
	}
	if len(f.Body) > 0 {
		return fmt.Sprintf("%s body=%x", f.Header, f.Body)
	}
	return string(f.Header)
}

func main() {}
