// Command json is a guest that does what plugins do most: it decodes JSON, and
// encodes it again.
package main

import "encoding/json"

type order struct {
	ID       string         `json:"id"`
	Customer string         `json:"customer"`
	Lines    []line         `json:"lines"`
	Tags     []string       `json:"tags"`
	Extra    map[string]any `json:"extra"`
	Paid     bool           `json:"paid"`
}

type line struct {
	SKU   string  `json:"sku"`
	Count int     `json:"count"`
	Price float64 `json:"price"`
}

const document = `{"id":"A-1042","customer":"Grüße & Söhne","lines":[
	{"sku":"pump-12","count":3,"price":129.5},{"sku":"hose-3m","count":12,"price":7.25},{"sku":"clamp","count":48,"price":0.4}],
	"tags":["urgent","export","north"],"extra":{"note":"leave at the gate \u2013 ring twice","weight":81.25,"boxes":[1,2,3,4]},"paid":true}`

// roundTrip decodes and encodes the document n times, and returns the length
// of the last result.
//
//go:wasmexport roundTrip
func roundTrip(n int32) int32 {
	size := 0
	for range n {
		var o order
		if err := json.Unmarshal([]byte(document), &o); err != nil {
			return -1
		}
		b, err := json.Marshal(o)
		if err != nil {
			return -1
		}
		size = len(b)
	}
	return int32(size)
}

func main() {}
