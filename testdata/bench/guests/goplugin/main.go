//go:build wasip1

// Command goplugin is the peers' guest for go-plugin. It implements the service
// that go-plugin generates for its own example, a string in and a string out,
// and takes JSON for the string.
package main

import (
	"context"
	"encoding/json"

	"github.com/knqyf263/go-plugin/examples/helloworld/greeting"
)

type object struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

type adder struct{}

func (adder) Greet(_ context.Context, req *greeting.GreetRequest) (*greeting.GreetReply, error) {
	var o object
	if err := json.Unmarshal([]byte(req.GetName()), &o); err != nil {
		return nil, err
	}
	o.Count++
	b, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return &greeting.GreetReply{Message: string(b)}, nil
}

func init() { greeting.RegisterGreeter(adder{}) }

func main() {}
