// Command edition tells which version of it answers: tests put one in the place
// of another while it works.
package main

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/sallyport-dev/sallyport/sdk"
)

func init() {
	sdk.Tool("tell", "Tells the version, read before and after a rest.", func(_ sdk.Context, in struct {
		MS int `json:"ms,omitempty" minimum:"0" doc:"the rest, in milliseconds"`
	}) (string, error) {
		before, err := edition()
		if err != nil {
			return "", err
		}
		time.Sleep(time.Duration(in.MS) * time.Millisecond)
		after, err := edition()
		return before + " " + after, err
	})
	sdk.Tool("wait", "Waits until /output/go is there, and tells the version.", func(sdk.Context, struct{}) (string, error) {
		for {
			_, err := os.Stat("/output/go")
			if err == nil {
				return edition()
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func edition() (string, error) {
	b, err := os.ReadFile("/skill/edition.txt")
	return string(b), err
}

func main() {}
