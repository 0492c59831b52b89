// Command kernelonly is a plugin that asks for the kernel alone and uses
// text/template, which makes the linker keep every exported method of every
// type it can reach.
package main

import (
	"strings"
	"text/template"

	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

type args struct {
	Name string `json:"name"`
}

var code = template.Must(template.New("code").Parse(`print("Hello, {{.Name}}!")`))

func init() {
	sdk.Tool("greet", "Greets in Python.", func(ctx sdk.Context, in args) (kernel.Execution, error) {
		var b strings.Builder
		if err := code.Execute(&b, struct {
			sdk.Context
			args
		}{ctx, in}); err != nil {
			return kernel.Execution{}, err
		}
		return kernel.Execute(ctx, kernel.Request{Code: b.String()})
	})
}

func main() {}
