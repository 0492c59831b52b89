// Command adder is a plugin that does next to nothing, so that what a call
// costs can be seen. Its export plain does the same work without a call.
package main

import (
	"encoding/json"

	"github.com/sallyport-dev/sallyport/sdk"
)

type object struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func init() {
	sdk.Tool("add", "Adds one to the count.", func(_ sdk.Context, o object) (object, error) {
		o.Count++
		return o, nil
	})
	sdk.Tool("echo", "Answers with its text.", func(_ sdk.Context, in struct {
		Text string `json:"text"`
	}) (string, error) {
		return in.Text, nil
	})
	sdk.Tool("nothing", "Does nothing.", func(sdk.Context, struct{}) (sdk.Result, error) { return sdk.ResultOf(), nil })
}

var (
	input  = []byte(`{"name":"ada","count":41}`)
	output []byte
)

//go:wasmexport plain
func plain() {
	var o object
	if err := json.Unmarshal(input, &o); err != nil {
		panic(err)
	}
	o.Count++
	var err error
	if output, err = json.Marshal(o); err != nil {
		panic(err)
	}
}

func main() {}
