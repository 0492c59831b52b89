// Command echo answers with what it is given, so that the way there and back
// can be measured.
package main

import (
	"encoding/json"

	"github.com/sallyport-dev/sallyport/sdk"
)

func init() {
	sdk.Tool("call", "Answers with its arguments, whatever they are.", func(_ sdk.Context, in json.RawMessage) (json.RawMessage, error) {
		return in, nil
	}, sdk.ReadOnly())
}

func main() {}
