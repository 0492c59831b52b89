package sdk_test

import (
	"fmt"
	"io"
	"os"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

// A tool's arguments are a struct; its tags become the schema that agents see.
func ExampleTool() {
	type Args struct {
		Path  string `json:"path" doc:"the sheet, such as upload/sales.csv" minLength:"1"`
		Limit int    `json:"limit" doc:"how many rows" minimum:"1" maximum:"1000" default:"20"`
		Order string `json:"order,omitempty" enum:"up,down"`
	}
	type Rows struct {
		Total int        `json:"total" doc:"rows in the sheet"`
		Rows  [][]string `json:"rows"`
	}
	register := func() { // a plugin's func init()
		sdk.Tool("rows", "Reads rows of a CSV file.", func(ctx sdk.Context, in Args) (Rows, error) {
			return Rows{Total: 0}, nil
		}, sdk.ReadOnly())
	}
	_ = register
}

// A refused file call has the host's reason: which zone, and what it allows.
func ExampleContext_Reason() {
	write := func(ctx sdk.Context, text string) error {
		err := os.WriteFile(ctx.Path("/upload/note.txt"), []byte(text), 0o644)
		return ctx.Reason(err) // permission_denied, because upload is read-only
	}
	_ = write
}

// Large results are files of the workspace, and the answer links them.
func ExampleContext_Link() {
	save := func(ctx sdk.Context, png []byte) (sdk.Result, error) {
		if err := os.WriteFile(ctx.Path("/output/chart.png"), png, 0o644); err != nil {
			return sdk.Result{}, ctx.Reason(err)
		}
		link, err := ctx.Link("/output/chart.png")
		if err != nil {
			return sdk.Result{}, err
		}
		return sdk.ResultOf(sdk.Text("The chart is drawn."), link), nil
	}
	_ = save
}

// Code in a kernel keeps its variables from one call to the next.
func Example_kernel() {
	double := func(ctx sdk.Context, in struct {
		N int `json:"n"`
	}) (string, error) {
		done, err := kernel.Execute(ctx, kernel.Request{Code: fmt.Sprintf("print(2 * %d)", in.N)})
		if err != nil {
			return "", err
		}
		if done.Status != abi.StatusOK {
			return "", fmt.Errorf("python raised %s: %s", done.Error.Name, done.Error.Value)
		}
		return done.Outputs[0].Text, nil
	}
	_ = double
}

// Functions run beside each other: here code in a kernel beside a download.
func ExampleGo() {
	report := func(ctx sdk.Context, in struct {
		URL string `json:"url"`
	}) (string, error) {
		model := sdk.Go(ctx, func(ctx sdk.Context) (kernel.Execution, error) {
			return kernel.Stream(ctx, kernel.Request{Code: "fit()"})
		})
		page := sdk.Go(ctx, func(ctx sdk.Context) ([]byte, error) {
			resp, err := http.Get(ctx, in.URL)
			if err != nil {
				return nil, err
			}
			defer resp.Body.Close()
			return io.ReadAll(resp.Body)
		})
		if err := sdk.Wait(ctx, model, page); err != nil {
			return "", err // what goes on is cancelled
		}
		fitted, _ := model.Wait()
		data, _ := page.Wait()
		return fmt.Sprintf("%s, and %d bytes", fitted.Status, len(data)), nil
	}
	_ = report
}

// Of two sources the faster one is taken, and the other cancelled.
func ExampleTask_Done() {
	fastest := func(ctx sdk.Context, one, other *sdk.Task[string]) (string, error) {
		select {
		case <-one.Done():
			other.Cancel()
			return one.Wait()
		case <-other.Done():
			one.Cancel()
			return other.Wait()
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	_ = fastest
}

func ExampleBadArgument() {
	err := sdk.BadArgument("/path", "path is %q: start it with upload/, output/ or store/", "home/x").
		WithHint("files_list shows what there is")
	fmt.Println(err)
	fmt.Println(err.Field)
	// Output:
	// invalid_argument: path is "home/x": start it with upload/, output/ or store/
	// /path
}

func ExampleMIMEType() {
	fmt.Println(sdk.MIMEType("/output/Report.PDF"))
	fmt.Println(sdk.MIMEType("/output/data"))
	// Output:
	// application/pdf
	// application/octet-stream
}
