// Command tasks is a plugin whose tools do several things at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

type nothing struct{}

func run(ctx context.Context, code string) (string, error) {
	done, err := kernel.Execute(ctx, kernel.Request{Code: code})
	if err != nil {
		return "", err
	}
	return done.Outputs[0].Text, nil
}

func fetch(ctx context.Context, url string) (string, error) {
	resp, err := http.Get(ctx, url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// running starts some code in a function.
func running(ctx sdk.Context, code string) *sdk.Task[string] {
	return sdk.Go(ctx, func(ctx sdk.Context) (string, error) { return run(ctx, code) })
}

func init() {
	sdk.Tool("beside", "Runs code in a function while the tool itself fetches.", func(ctx sdk.Context, _ nothing) (string, error) {
		task := running(ctx, "one")
		page, err := fetch(ctx, "https://example.com/")
		if err != nil {
			return "", err
		}
		ran, err := task.Wait()
		return ran + " " + page, err
	})

	sdk.Tool("crowd", "Runs more than may be run at once.", func(ctx sdk.Context, _ nothing) (string, error) {
		var tasks []sdk.Waitable
		var said []*sdk.Task[string]
		for i := range 40 {
			said = append(said, running(ctx, fmt.Sprint(i)))
			tasks = append(tasks, said[i])
		}
		if err := sdk.Wait(ctx, tasks...); err != nil {
			return "", err
		}
		var list []string
		for _, t := range said {
			text, err := t.Wait()
			if err != nil {
				return "", err
			}
			list = append(list, text)
		}
		return strings.Join(list, " "), nil
	})

	sdk.Tool("sleeper", "Sleeps beside code that runs until it is interrupted.", func(ctx sdk.Context, _ nothing) (string, error) {
		task := running(ctx, "long")
		sleeper := sdk.Go(ctx, func(ctx sdk.Context) (nothing, error) {
			time.Sleep(20 * time.Millisecond)
			return nothing{}, kernel.Interrupt(ctx, "")
		})
		return "interrupted", sdk.Wait(ctx, sleeper, task)
	})

	sdk.Tool("channels", "Waits for functions as Go does.", func(ctx sdk.Context, _ nothing) (string, error) {
		lines := make(chan string)
		sdk.Go(ctx, func(ctx sdk.Context) (nothing, error) {
			text, err := run(ctx, "one")
			lines <- text
			return nothing{}, err
		})
		task := running(ctx, "two")
		line := <-lines
		<-task.Done()
		text, err := task.Wait()
		return line + " " + text, err
	})

	sdk.Tool("cancel", "Cancels one of two.", func(ctx sdk.Context, _ nothing) (string, error) {
		long, short := running(ctx, "long"), running(ctx, "one")
		text, err := short.Wait()
		if err != nil {
			return "", err
		}
		long.Cancel()
		if _, err := long.Wait(); abi.CodeOf(err) != abi.CodeCanceled || !errors.Is(err, context.Canceled) {
			return "", fmt.Errorf("the cancelled one ended with %w", err)
		}
		again, err := run(ctx, "two")
		return text + " " + again, err
	})

	sdk.Tool("timeout", "Gives a function less time than it takes.", func(ctx sdk.Context, _ nothing) (string, error) {
		_, err := sdk.Go(ctx, func(ctx sdk.Context) (string, error) {
			inner, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			return run(inner, "long")
		}).Wait()
		return "", err
	})

	sdk.Tool("panic", "Panics in a function.", func(ctx sdk.Context, _ nothing) (string, error) {
		_, err := sdk.Go(ctx, func(sdk.Context) (string, error) { panic("on purpose") }).Wait()
		return "", err
	})

	sdk.Tool("leave", "Returns while code is running.", func(ctx sdk.Context, _ nothing) (string, error) {
		running(ctx, "long")
		running(ctx, "long")
		return run(ctx, "one")
	})

	sdk.Tool("stray", "Leaves a function that never returns.", func(ctx sdk.Context, _ nothing) (string, error) {
		sdk.Go(ctx, func(sdk.Context) (nothing, error) { select {} })
		return "left", nil
	})

	sdk.Tool("wire", "Asks for what the wire vectors have.", func(ctx sdk.Context, _ nothing) (string, error) {
		execute := sdk.Go(ctx, func(ctx sdk.Context) (kernel.Execution, error) {
			return kernel.Stream(ctx, kernel.Request{Code: "print('标题')", Language: "python", Timeout: 5 * time.Second})
		})
		post := sdk.Go(ctx, func(ctx sdk.Context) (*http.Response, error) {
			return http.Do(ctx, http.Request{
				Method: "POST", URL: "https://api.example.com/v1/notes",
				Header:   http.Header{{Name: "Content-Type", Value: "application/json"}},
				Redirect: abi.RedirectManual, Timeout: 5 * time.Second, MaxBytes: 65536, Body: []byte(`{"text":"hi"}`),
			})
		})
		if err := sdk.Wait(ctx, execute, post); err != nil {
			return "", err
		}
		status := sdk.Go(ctx, func(ctx sdk.Context) (kernel.State, error) { return kernel.Status(ctx, "") })
		s, err := status.Wait()
		return s.State, err
	})
}

func main() {}
