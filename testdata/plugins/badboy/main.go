// Command badboy misbehaves on request: what a host does about it is for its
// tests to see.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
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
	sdk.Tool("recurse", "Calls itself for ever, or as deep as it is told.", func(_ sdk.Context, in struct {
		Depth int `json:"depth,omitempty" minimum:"1"`
	}) (string, error) {
		return fmt.Sprint(recurse(1, in.Depth)), nil
	})
	sdk.Tool("work", "Computes as long as it is told.", func(_ sdk.Context, in struct {
		Turns int `json:"turns" minimum:"1"`
	}) (string, error) {
		x := uint32(1)
		for range in.Turns {
			x = x*1664525 + 1013904223
		}
		return fmt.Sprint(x), nil
	})
	sdk.Tool("ask", "Asks the host for the time, as often as it is told.", func(_ sdk.Context, in struct {
		Times int `json:"times" minimum:"1"`
	}) (string, error) {
		for range in.Times {
			_ = time.Now()
		}
		return "asked", nil
	})
	sdk.Tool("draw", "Draws so many KiB at random.", func(_ sdk.Context, in struct {
		KiB int `json:"kib" minimum:"1"`
	}) (string, error) {
		b := make([]byte, 1<<10)
		for range in.KiB {
			if _, err := rand.Read(b); err != nil {
				return "", err
			}
		}
		return "drawn", nil
	})
	sdk.Tool("talk", "Answers with so many bytes.", func(_ sdk.Context, in struct {
		Bytes int `json:"bytes" minimum:"1"`
	}) (string, error) {
		return strings.Repeat("x", in.Bytes), nil
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

func recurse(n, depth int) int {
	if n == 0 || n == depth {
		return 0
	}
	return recurse(n+1, depth) + 1
}

func main() {}
