// Command badboy misbehaves on request: what a host does about it is for its
// tests to see.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/sallyport-dev/sallyport/sdk"
)

type none struct{}

func init() {
	sdk.Tool("trap", "Traps, which no recover holds up.", func(sdk.Context, none) (string, error) {
		fmt.Fprintln(os.Stderr, "about to trap")
		trap()
		return "", nil
	})
	sdk.Tool("exit", "Exits as a command would.", func(sdk.Context, none) (string, error) {
		fmt.Fprintln(os.Stderr, "about to exit")
		os.Exit(3)
		return "", nil
	})
	sdk.Tool("panic", "Panics.", func(sdk.Context, none) (string, error) { panic("badboy panicked") })
	sdk.Tool("panicking", "Panics in a goroutine of its own, where nothing recovers.", func(sdk.Context, none) (string, error) {
		done := make(chan bool)
		go func() {
			defer close(done)
			panic("badboy's goroutine panicked")
		}()
		<-done
		return "", nil
	})
	sdk.Tool("loop", "Computes for ever.", func(sdk.Context, none) (string, error) {
		n := 0
		for {
			n++
			if n < 0 {
				return "wrapped", nil
			}
		}
	})
	sdk.Tool("sleep", "Sleeps for ever.", func(sdk.Context, none) (string, error) {
		time.Sleep(1<<63 - 1)
		return "", nil
	})
	sdk.Tool("hang", "Waits for what never comes.", func(sdk.Context, none) (string, error) {
		select {}
	})
	sdk.Tool("recurse", "Calls itself for ever.", func(sdk.Context, none) (string, error) {
		return fmt.Sprint(recurse(1)), nil
	})
	sdk.Tool("eat", "Takes all memory that it can get, or as many MiB as it is told.", func(_ sdk.Context, in struct {
		MiB int `json:"mib,omitempty" minimum:"1"`
	}) (string, error) {
		for i := 0; in.MiB == 0 || i < in.MiB; i++ {
			eaten = append(eaten, make([]byte, 1<<20))
		}
		return fmt.Sprintf("ate %d MiB", len(eaten)), nil
	})
	sdk.Tool("shout", "Writes more to stderr than anybody wants.", func(sdk.Context, none) (string, error) {
		for range 1 << 15 {
			fmt.Fprintln(os.Stderr, "badboy shouts")
		}
		return "hoarse", nil
	})
	sdk.Tool("remember", "Counts its calls, which a fresh sandbox forgets.", func(sdk.Context, none) (string, error) {
		calls++
		return fmt.Sprint(calls), nil
	})
}

var (
	eaten [][]byte
	calls int
)

func recurse(n int) int {
	if n == 0 {
		return 0
	}
	return recurse(n+1) + 1
}

func main() {}
