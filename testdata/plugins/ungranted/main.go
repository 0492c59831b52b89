// Command ungranted asks for more than a careful operator grants, and uses it.
package main

import (
	"os"
	"time"

	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

type none struct{}

func init() {
	sdk.Tool("run", "Runs code in a kernel.", func(ctx sdk.Context, in struct {
		Code     string  `json:"code" default:"1+1"`
		Language string  `json:"language,omitempty"`
		Timeout  float64 `json:"timeout_seconds,omitempty" minimum:"0"`
	}) (kernel.Execution, error) {
		return kernel.Execute(ctx, kernel.Request{Code: in.Code, Language: in.Language, Timeout: time.Duration(in.Timeout * float64(time.Second))})
	})
	sdk.Tool("interrupt", "Interrupts the kernel.", func(ctx sdk.Context, _ none) (string, error) {
		return "done", kernel.Interrupt(ctx, "")
	})
	sdk.Tool("reset", "Resets the kernel.", func(ctx sdk.Context, _ none) (string, error) {
		return "done", kernel.Reset(ctx, "")
	})
	sdk.Tool("status", "Asks for the kernel's status.", func(ctx sdk.Context, _ none) (kernel.State, error) {
		return kernel.Status(ctx, "")
	})
	sdk.Tool("write", "Writes a file.", func(ctx sdk.Context, in struct {
		Path string `json:"path" default:"/output/ungranted.txt"`
	}) (string, error) {
		err := os.WriteFile(ctx.Path(in.Path), []byte("text"), 0o644)
		return "done", ctx.Reason(err)
	})
}

func main() {}
