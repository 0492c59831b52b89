package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

// The plugin under test: one tool for each thing that the SDK does.
func init() {
	type nothing struct{}
	type greeting struct {
		Name string `json:"name" doc:"whom to greet" minLength:"1"`
		Loud bool   `json:"loud,omitempty"`
	}
	sdk.Tool("greet", "Greets someone.", func(_ sdk.Context, in greeting) (string, error) {
		text := "Hello, " + in.Name + "!"
		if in.Loud {
			text = strings.ToUpper(text)
		}
		return text, nil
	}, sdk.ReadOnly())

	type sum struct {
		Total int   `json:"total" doc:"of all numbers"`
		Seen  []int `json:"seen"`
	}
	sdk.Tool("sum", "Adds numbers up.", func(_ sdk.Context, in struct {
		Numbers []int `json:"numbers"`
	}) (sum, error) {
		s := sum{Seen: in.Numbers}
		for _, n := range in.Numbers {
			s.Total += n
		}
		return s, nil
	})

	sdk.Tool("show", "Shows a picture and some text.", func(sdk.Context, nothing) (sdk.Result, error) {
		r := sdk.ResultOf(sdk.Text("before"), sdk.Image("image/png", []byte{0x89, 'P', 'N', 'G'}), sdk.Text("after"))
		r.Meta = map[string]json.RawMessage{"sallyport/status": json.RawMessage(`"ok"`)}
		return r, nil
	})

	sdk.Tool("echo", "Answers with its arguments.", func(_ sdk.Context, in json.RawMessage) (json.RawMessage, error) {
		return in, nil
	})

	sdk.Tool("fail", "Fails in the way that is asked for.", func(ctx sdk.Context, in struct {
		How string `json:"how"`
	}) (string, error) {
		switch in.How {
		case "plain":
			return "", errors.New("the sheet has no column B")
		case "typed":
			return "", fmt.Errorf("looking up: %w", sdk.Errorf(abi.CodeNotFound, "there is no sheet 3").WithHint("the file has 2"))
		case "argument":
			return "", sdk.BadArgument("/how", "how is %q", in.How)
		case "panic":
			panic("index out of " + strings.Repeat("range ", 1000))
		case "nil":
			var t *time.Time
			return t.String(), nil
		case "deadline":
			<-ctx.Done()
			return "", fmt.Errorf("waiting: %w", ctx.Err())
		case "other deadline":
			inner, cancel := context.WithTimeout(ctx, 0)
			defer cancel()
			return "", inner.Err()
		case "unprintable":
			return "", unprintable{}
		case "none":
			var e *abi.Error
			return "done", e
		}
		return in.How, nil
	})

	sdk.Tool("null", "Answers with null.", func(sdk.Context, nothing) (map[string]int, error) { return nil, nil })
	sdk.Tool("huge", "Answers with more than a frame holds.", func(sdk.Context, nothing) (string, error) {
		return strings.Repeat("x", abi.MaxHeaderBytes+1), nil
	})
	sdk.Tool("garbled", "Answers with what isn't JSON.", func(sdk.Context, nothing) (sdk.Result, error) {
		return sdk.Result{StructuredContent: json.RawMessage(`{`)}, nil
	})

	sdk.Tool("tell", "Logs, reports progress, and answers with its ids and a setting.", func(ctx sdk.Context, _ nothing) (string, error) {
		ctx.Log(sdk.LevelInfo, "started", "rows", 3, "err", fs.ErrNotExist, "took", 2*time.Second, "odd")
		ctx.Log(sdk.LevelDebug, "plain")
		ctx.Progress(1, 2, "half")
		colour, err := ctx.Config("colour")
		if err != nil {
			return "", err
		}
		_, bounded := ctx.Deadline()
		return fmt.Sprint(ctx.Session, " ", ctx.Call, " ", colour, " ", bounded), nil
	})

	sdk.Tool("copy", "Copies a file and links the copy.", func(ctx sdk.Context, in struct {
		From string `json:"from"`
		To   string `json:"to"`
	}) (sdk.Result, error) {
		data, err := os.ReadFile(ctx.Path(in.From))
		if err != nil {
			return sdk.Result{}, ctx.Reason(err)
		}
		if err := os.WriteFile(ctx.Path(in.To), data, 0o600); err != nil {
			return sdk.Result{}, ctx.Reason(err)
		}
		link, err := ctx.Link(in.To)
		if err != nil {
			return sdk.Result{}, err
		}
		return sdk.ResultOf(link), nil
	})

	sdk.Tool("run", "Runs Python.", func(ctx sdk.Context, in struct {
		Code string `json:"code"`
	}) (sdk.Result, error) {
		done, err := kernel.Execute(ctx, kernel.Request{Code: in.Code, Stream: abi.StreamAgent, Timeout: 1500 * time.Millisecond})
		if err != nil {
			return sdk.Result{}, err
		}
		var r sdk.Result
		for _, o := range done.Outputs {
			if o.Text != "" {
				r.Content = append(r.Content, sdk.Text(o.Text))
			}
			for _, b := range o.Blobs {
				r.Content = append(r.Content, sdk.Image(b.MIMEType, b.Bytes))
			}
		}
		return r, nil
	})

	sdk.Tool("verbs", "Uses the kernel's other verbs.", func(ctx sdk.Context, _ nothing) (kernel.State, error) {
		if err := kernel.Interrupt(ctx, ""); err != nil {
			return kernel.State{}, err
		}
		if err := kernel.Reset(ctx, ""); err != nil {
			return kernel.State{}, err
		}
		return kernel.Status(ctx, "")
	})

	sdk.Tool("tasks", "Runs two pieces of code as tasks and cancels a third.", func(ctx sdk.Context, _ nothing) (string, error) {
		start := func(code string) (uint32, error) {
			f, err := sdk.Invoke(ctx, abi.OpKernelExecute, nil, abi.KernelExecuteRequest{Code: code, Async: abi.Async{Async: true}}, nil)
			if err != nil {
				return 0, err
			}
			var t abi.Task
			return t.Task, f.Decode(&t)
		}
		var said []string
		for _, code := range []string{"one", "raise"} {
			n, err := start(code)
			if err != nil {
				return "", err
			}
			got, f, err := sdk.Wait(ctx, time.Second, n)
			if got != n {
				return "", fmt.Errorf("waited for task %d and got %d", n, got)
			}
			if err != nil {
				said = append(said, err.Error())
				continue
			}
			done, err := abi.DecodeKernelExecute(f)
			if err != nil {
				return "", err
			}
			said = append(said, done.Outputs[0].Text)
		}
		n, err := start("three")
		if err != nil {
			return "", err
		}
		return strings.Join(said, "|"), sdk.Cancel(ctx, n)
	})
}

// unprintable is an error whose text panics.
type unprintable struct{}

func (unprintable) Error() string { panic("no words") }
