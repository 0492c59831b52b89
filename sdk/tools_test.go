package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

// longText is as long as texts are that go into the body of a frame.
var longText = strings.Repeat("a \"line\" of 標\n", abi.LongText/16)

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
		case "poll":
			for ctx.Err() == nil {
				runtime.Gosched()
			}
			end, _ := ctx.Deadline()
			return "", fmt.Errorf("%v late: %w", time.Since(end), ctx.Err())
		case "keep":
			kept <- ctx
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

	sdk.Tool("pages", "Answers with several texts, long ones and a short one.", func(sdk.Context, nothing) (sdk.Result, error) {
		return sdk.ResultOf(sdk.Text(longText), sdk.Text("short"), sdk.Text(longText+"\xff\xff"), sdk.Text(strings.ToUpper(longText))), nil
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
		done, err := kernel.Stream(ctx, kernel.Request{Code: in.Code, Timeout: 1500 * time.Millisecond})
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

	sdk.Tool("beside", "Runs Python, and fetches a page meanwhile.", func(ctx sdk.Context, _ nothing) (string, error) {
		run := sdk.Go(ctx, func(ctx sdk.Context) (kernel.Execution, error) {
			return kernel.Execute(ctx, kernel.Request{Code: "slow()"})
		})
		page := sdk.Go(ctx, func(ctx sdk.Context) (string, error) { return fetch(ctx, "https://example.com/page") })
		if err := sdk.Wait(ctx, run, page); err != nil {
			return "", err
		}
		done, _ := run.Wait()
		text, err := page.Wait()
		return done.Outputs[0].Text + text, err
	})

	sdk.Tool("leave", "Returns while something is running.", func(ctx sdk.Context, in struct {
		Stray bool `json:"stray,omitempty"`
	}) (string, error) {
		left <- sdk.Go(ctx, func(ctx sdk.Context) (string, error) {
			<-ctx.Done()
			if in.Stray {
				<-ctx.Value(strayKey{}).(chan struct{})
			}
			late := sdk.Go(ctx, func(sdk.Context) (string, error) { return "late", nil })
			if _, err := late.Wait(); abi.CodeOf(err) != abi.CodeCanceled {
				return "", fmt.Errorf("a function of a call that is over: %w", err)
			}
			return "ended", nil
		})
		return "left", nil
	})
}

// left has the task that the tool leave left running.
var left = make(chan *sdk.Task[string], 1)

type strayKey struct{}

// kept has a context that a tool kept.
var kept = make(chan sdk.Context, 1)

func fetch(ctx sdk.Context, url string) (string, error) {
	resp, err := http.Get(ctx, url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// unprintable is an error whose text panics.
type unprintable struct{}

func (unprintable) Error() string { panic("no words") }
