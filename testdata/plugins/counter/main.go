// Command counter keeps its state for a session, in memory alone.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/sdk"
)

type none struct{}

var count int

func init() {
	sdk.Tool("next", "Counts one up.", func(sdk.Context, none) (string, error) {
		count++
		return strconv.Itoa(count), nil
	})
	sdk.Tool("trap", "Counts one up and traps.", func(sdk.Context, none) (string, error) {
		count++
		fmt.Fprintln(os.Stderr, "about to trap")
		os.Exit(3)
		return "", nil
	})
	sdk.Tool("slow", "Counts one up, reads, rests and writes: two at once would lose one.", func(sdk.Context, none) (string, error) {
		was := count
		time.Sleep(20 * time.Millisecond)
		count = was + 1
		return strconv.Itoa(count), nil
	})
	sdk.Tool("sleep", "Counts one up, says so, and sleeps for ever.", func(ctx sdk.Context, _ none) (string, error) {
		count++
		ctx.Progress(float64(count), 0, "asleep")
		time.Sleep(1<<63 - 1)
		return "", nil
	})
}

func main() {}
