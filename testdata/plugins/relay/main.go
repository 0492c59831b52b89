// Command relay calls tools of other plugins, as it is told.
package main

import (
	"encoding/json"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/tool"
)

type args struct {
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Stream    bool            `json:"stream,omitempty"`
}

func (a args) call(ctx sdk.Context) (sdk.Result, error) {
	var arguments any
	if len(a.Arguments) > 0 {
		arguments = a.Arguments
	}
	if a.Stream {
		return tool.Stream(ctx, a.Tool, arguments)
	}
	return tool.Call(ctx, a.Tool, arguments)
}

// An outcome is what a call came to, to be looked at.
type outcome struct {
	Result *sdk.Result `json:"result,omitempty"`
	Error  *abi.Error  `json:"error,omitempty"`
}

func init() {
	sdk.Tool("call", "Calls a tool, and answers as that does.", func(ctx sdk.Context, in args) (sdk.Result, error) {
		return in.call(ctx)
	})
	sdk.Tool("try", "Calls a tool, and tells what came of it.", func(ctx sdk.Context, in args) (sdk.Result, error) {
		r, err := in.call(ctx)
		o := outcome{Result: &r}
		if err != nil {
			o = outcome{Error: abi.AsError(err)}
		}
		raw, err := json.Marshal(o)
		return sdk.Result{Content: []sdk.Content{}, StructuredContent: raw}, err
	})
}

func main() {}
