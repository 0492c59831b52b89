package schema_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/sallyport-dev/sallyport/sdk/internal/schema"
)

// inputs are arguments for everything: right, wrong and odd.
var inputs = []string{
	`{"text":"a"}`,
	`{"text":"a","limit":7,"offset":0,"level":"high","port":80,"ratio":1.25,"fast":true,"tags":["a","b"],"sizes":{"x":1,"y":2.5},` +
		`"at":{"x":1,"y":-2e3},"path":[{"x":0,"y":0},{"y":1,"x":2}],"since":"2026-01-02T03:04:05Z","wait":"5m","extra":{"a":[1]},"any":[null,{"b":true}],"nested":{"limit":3},"five":5}`,
	` { "text" : "a" , "path" : [ ] } `, `{"text":"a\n标","any":"\u00e9"}`, `{"text":"a","path":[],"sizes":{}}`,
	`{"text":"a","tags":[]}`,
	`{}`, `null`, ``, `[]`, `{"text":null}`, `{"text":""}`, `{"text":"abcdef"}`, `{"text":"标题标题标"}`, `{"text":"a\nb"}`, `{"text":"\u0041"}`,
	`{"Text":"a"}`, `{"text":"a","x":1}`, `{"text":"a","text":"b"}`, `{"text":1,"text":"b"}`, `{"text":"a","sizes":{"x":-1,"x":1}}`,
	`{"text":"a","limit":0}`, `{"text":"a","limit":101}`, `{"text":"a","limit":5.0}`, `{"text":"a","limit":5.5}`, `{"text":"a","limit":"5"}`, `{"text":"a","limit":1e1}`, `{"text":"a","offset":-0}`,
	`{"text":"a","port":-0}`, `{"text":"a","port":0}`, `{"text":"a","port":65536}`, `{"text":"a","offset":9223372036854775807}`, `{"text":"a","offset":9223372036854775808}`,
	`{"text":"a","ratio":0.4}`, `{"text":"a","ratio":1e400}`, `{"text":"a","level":"none"}`, `{"text":"a","five":2}`, `{"text":"a","tags":["c"]}`, `{"text":"a","tags":["a","a","a","a"]}`, `{"text":"a","tags":"a"}`,
	`{"text":"a","at":null}`, `{"text":"a","at":{"x":1}}`, `{"text":"a","at":{"x":1,"y":2,"z":3}}`, `{"text":"a","since":"yesterday"}`, `{"text":"a","since":1}`, `{"text":"a","wait":"long"}`,
	`{"text":"a","extra":null}`, `{"text":"a","any":null}`, `{"text":"a"`, `{"text":"a"}}`, `{"text":"a"} x`, `{"text":"a",}`, "{\"text\":\"\xff\"}",
}

func TestReadHasSeeds(t *testing.T) {
	if len(inputs) < 40 {
		t.Errorf("there are %d", len(inputs))
	}
}

// FuzzReadIsExplained holds that the short cut takes nothing that the long way
// refuses, and reads what it takes as that does.
func FuzzReadIsExplained(f *testing.F) {
	for _, in := range inputs {
		f.Add([]byte(in))
	}
	s, err := schema.Input(reflect.TypeFor[everything]())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got, want, decoded everything
		read := s.Read(raw, reflect.ValueOf(&got).Elem())
		err := s.Explain(raw, reflect.ValueOf(&want).Elem())
		if read && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Fatalf("%q was read as %+v, and is %+v, %v", raw, got, want, err)
		}
		if decodeErr := s.Decode(raw, reflect.ValueOf(&decoded).Elem()); (decodeErr == nil) != (err == nil) ||
			err == nil && !reflect.DeepEqual(decoded, want) || err != nil && decodeErr.Error() != err.Error() {
			t.Fatalf("%q was decoded as %+v, %v, and is %+v, %v", raw, decoded, decodeErr, want, err)
		}
	})
}

func TestWhatIsOrdinaryTakesTheShortCut(t *testing.T) {
	s, err := schema.Input(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range inputs[:5] {
		var v everything
		if !s.Read(json.RawMessage(in), reflect.ValueOf(&v).Elem()) {
			t.Errorf("%s took the long way", in)
		}
	}
}
