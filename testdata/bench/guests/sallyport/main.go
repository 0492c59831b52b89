//go:build wasip1

// Command sallyport is our guest, written as an author writes one. Its tools
// are numbered in the order of their registration.
package main

import "github.com/sallyport-dev/sallyport/sdk"

type object struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

type text struct {
	Text string `json:"text"`
}

type none struct{}

func init() {
	sdk.Tool("add", "Adds one to the count.", func(_ sdk.Context, o object) (object, error) {
		o.Count++
		return o, nil
	})
	sdk.Tool("echo", "Answers with its text.", func(_ sdk.Context, in text) (string, error) { return in.Text, nil })
	sdk.Tool("nothing", "Does nothing.", func(sdk.Context, none) (sdk.Result, error) { return sdk.ResultOf(), nil })
	sdk.Tool("spin", "Computes, and touches no memory.", func(_ sdk.Context, in struct {
		Turns uint64 `json:"turns"`
	}) (struct {
		Sum uint64 `json:"sum"`
	}, error) {
		var out struct {
			Sum uint64 `json:"sum"`
		}
		out.Sum = spin(in.Turns)
		return out, nil
	})
}

//go:noinline
func spin(turns uint64) uint64 {
	x := turns
	for i := range turns {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		x += i
	}
	return x
}

func main() {}
