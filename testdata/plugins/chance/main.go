// Command chance does what comes out differently each time: it draws, looks at
// the clock, sleeps, goes over a map and starts goroutines.
package main

import (
	crypto "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/sdk"
)

type args struct {
	Sleep string `json:"sleep,omitempty" doc:"how long to sleep, such as 1h"`
}

var began = time.Now()

func init() { sdk.Tool("draw", "Tells what chance had.", draw) }

func draw(ctx sdk.Context, in args) (string, error) {
	var b strings.Builder
	fmt.Fprintln(&b, "began:", began.UTC().Format(time.RFC3339Nano))
	fmt.Fprintln(&b, "clock:", time.Now().UTC().Format(time.RFC3339Nano))
	fmt.Fprintln(&b, "text:", crypto.Text())
	fmt.Fprintln(&b, "number:", rand.Uint64())
	fmt.Fprintln(&b, "order:", order())
	fmt.Fprintln(&b, "turns:", turns())
	if in.Sleep != "" {
		d, err := time.ParseDuration(in.Sleep)
		if err != nil {
			return "", err
		}
		start := time.Now()
		time.Sleep(d)
		fmt.Fprintln(&b, "slept:", time.Since(start).Round(time.Millisecond))
	}
	if deadline, ok := ctx.Deadline(); ok {
		fmt.Fprintln(&b, "left:", time.Until(deadline))
	}
	fmt.Fprintln(&b, "call:", ctx.Call, ctx.Session)
	for _, path := range []string{"/upload/old", "/output/new", "/output", "/tmp/new"} {
		if strings.HasSuffix(path, "new") {
			if err := os.WriteFile(ctx.Path(path), []byte(crypto.Text()+"\n"), 0o644); err != nil {
				return "", err
			}
		}
		info, err := os.Stat(ctx.Path(path))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&b, "file:", path, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintln(os.Stderr, "drawn:", rand.Uint64())
	return b.String(), nil
}

// order is that of a map's keys.
func order() (s string) {
	m := map[int]bool{}
	for i := range 20 {
		m[i] = true
	}
	for k := range m {
		s += fmt.Sprint(k, " ")
	}
	return strings.TrimSpace(s)
}

// turns is the order in which goroutines come.
func turns() (s string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 8 {
		wg.Go(func() {
			time.Sleep(time.Nanosecond)
			mu.Lock()
			defer mu.Unlock()
			s += fmt.Sprint(i, " ")
		})
	}
	wg.Wait()
	return strings.TrimSpace(s)
}

func main() {}
