//go:build wasip1

// Command extism is the peers' guest for Extism, with its own kit.
package main

import pdk "github.com/extism/go-pdk"

type object struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

//go:wasmexport add
func add() int32 {
	var o object
	if err := pdk.InputJSON(&o); err != nil {
		pdk.SetError(err)
		return 1
	}
	o.Count++
	if err := pdk.OutputJSON(o); err != nil {
		pdk.SetError(err)
		return 1
	}
	return 0
}

//go:wasmexport echo
func echo() int32 {
	pdk.Output(pdk.Input())
	return 0
}

//go:wasmexport nothing
func nothing() int32 { return 0 }

func main() {}
