// Command httponly is a plugin that asks for http alone.
package main

import (
	"io"

	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
)

type args struct {
	URL string `json:"url"`
}

func init() {
	sdk.Tool("length", "Says how long a page is.", func(ctx sdk.Context, in args) (map[string]int64, error) {
		resp, err := http.Get(ctx, in.URL)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		return map[string]int64{"length": n}, err
	})
}

func main() {}
