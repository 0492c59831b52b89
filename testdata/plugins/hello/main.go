// Command hello is the least that a plugin can be.
package main

import "github.com/sallyport-dev/sallyport/sdk"

type args struct {
	Name string `json:"name" doc:"whom to greet" minLength:"1" maxLength:"100"`
}

func init() {
	sdk.Tool("greet", "Greets someone by name.", func(_ sdk.Context, in args) (string, error) {
		return "Hello, " + in.Name + "!", nil
	}, sdk.ReadOnly())
}

func main() {}
