// Command probe is a plugin that shows how the SDK's end of the ABI behaves.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	oldrand "math/rand"
	newrand "math/rand/v2"
	"os"
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/sdk"
)

type nothing struct{}

func init() {
	sdk.Tool("echo", "Answers with its arguments.", func(_ sdk.Context, in json.RawMessage) (json.RawMessage, error) {
		return in, nil
	})
	sdk.Tool("config", "Answers with a setting.", func(ctx sdk.Context, in struct {
		Key string `json:"key"`
	}) (string, error) {
		return ctx.Config(in.Key)
	})
	sdk.Tool("panic", "Panics.", func(sdk.Context, nothing) (string, error) { panic("on purpose") })
	sdk.Tool("log", "Logs.", func(ctx sdk.Context, _ nothing) (string, error) {
		ctx.Log(sdk.LevelWarn, "watch out", "n", 1)
		ctx.Progress(1, 2, "half")
		return "done", nil
	})
	sdk.Tool("write", "Writes a file, and answers with the reason when that is refused.", func(ctx sdk.Context, in struct {
		Path string `json:"path"`
	}) (string, error) {
		err := os.WriteFile(ctx.Path(in.Path), []byte("text"), 0o644)
		if err != nil {
			return "", ctx.Reason(err)
		}
		link, err := ctx.Link(in.Path)
		return fmt.Sprintf("%s %d", link.URI, link.Size), err
	})
	sdk.Tool("stale", "Has an error of a host function pending when a file call fails.", func(ctx sdk.Context, _ nothing) (string, error) {
		if _, err := ctx.Config("refused"); err == nil {
			return "", errors.New("config succeeded")
		}
		_, err := os.Stat("/output/nothing")
		if err := ctx.Reason(err); !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("the reason is %v", err)
		}
		return "no reason", nil
	})
	sdk.Tool("crowd", "Calls the host from many goroutines.", func(ctx sdk.Context, _ nothing) (string, error) {
		var (
			wg  sync.WaitGroup
			bad []string // goroutines of a sandbox run one at a time
		)
		for i := range 50 {
			wg.Go(func() {
				key := fmt.Sprintf("%d", i)
				if v, err := ctx.Config(key); err != nil || v != "value "+key {
					bad = append(bad, fmt.Sprint(v, err))
				}
			})
		}
		wg.Wait()
		return fmt.Sprint(bad), nil
	})
}

// made is a map of before any call.
var made = func() map[int]bool {
	m := map[int]bool{}
	for i := range 100 {
		m[i] = true
	}
	return m
}()

func init() {
	sdk.Tool("draw", "Draws in every way there is.", func(sdk.Context, nothing) (map[string]string, error) {
		order := func(m map[int]bool) string { return fmt.Sprint(slices.Collect(maps.Keys(m))) }
		id := make([]byte, 16)
		rand.Read(id)
		return map[string]string{
			"math/rand":    fmt.Sprint(oldrand.Int63()),
			"math/rand/v2": fmt.Sprint(newrand.Int64()),
			"crypto/rand":  hex.EncodeToString(id),
			"map":          order(maps.Clone(made)),
			"old map":      order(made),
			"maphash":      fmt.Sprint(maphash.String(maphash.MakeSeed(), "text")),
		}, nil
	})
}

func main() {}
