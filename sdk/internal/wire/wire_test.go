package wire_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/sdk/internal/wire"
)

// seeds are JSON texts, and what isn't any.
var seeds = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `true`, `false`, `null`, ``, ` `, "\ufeff{}",
	`{"a":1}`, `{"a":[1,2,{"b":null}],"c":"d"}`, ` { "a" : [ 1 , 2 ] } `, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `[1 2]`, `{"a":1 "b":2}`, `[}`, `{"a":1]`, `{}{}`, `[] x`,
	`1.5`, `1e9`, `1E-2`, `-1.25e+10`, `01`, `1.`, `.5`, `+1`, `1e`, `-`, `0x1`, `123456789012345678`, `1234567890123456789`, `-123456789012345678`,
	`"plain"`, `"a\"b\\c\/d\b\f\n\r\t"`, `"\u0041\u00e9"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\uD83D\uDE00"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `"\ud83dx\n"`, `"\ud83d\n"`, `"\u12g4"`, `"\u 123"`, `"\u+123"`, `"\u@123"`, `"\u0000"`, `"\x"`, `"\u12"`, `"\`, `"a`, "\"\x01\"", "\"\xff\"", "\"标题\"", "\"\u2028\"", "\"\x7f\"",
	`"exactly 8"`, `"a longer text, of more than sixteen bytes"`, `"a longer text, of more than sixteen bytes and an \n escape"`, "\"a longer text, of more than sixteen bytes, with 标题 in it\"",
	`tru`, `nul`, `truex`, `{"\u0061":1}`, `{"":1}`,
	strings.Repeat("[", 200) + strings.Repeat("]", 200), strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50),
}

func TestFuzzTargetsHaveSeeds(t *testing.T) {
	if len(seeds) < 40 {
		t.Errorf("there are %d seeds", len(seeds))
	}
}

// FuzzReadersAgree holds that a Reader takes nothing that encoding/json
// refuses, and reads what it takes as encoding/json does.
func FuzzReadersAgree(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		raw := r.Skip()
		if !r.Ended() {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q was taken", b)
		}
		if !bytes.Equal(raw, bytes.TrimSpace(b)) {
			t.Fatalf("%q became %q", b, raw)
		}
		var want any
		_ = json.Unmarshal(b, &want) // it fails on numbers that no float64 holds
		r = wire.NewReader(b)
		switch want := want.(type) {
		case string:
			if got := r.String(); got != want || !r.Ended() {
				t.Fatalf("%q is %q, want %q", b, got, want)
			}
		case bool:
			if got := r.Bool(); got != want || !r.Ended() {
				t.Fatalf("%q is %v", b, got)
			}
		case float64:
			var whole int64
			if got := r.Int(); !r.Failed() && (json.Unmarshal(b, &whole) != nil || got != whole || !r.Ended()) {
				t.Fatalf("%q is %d, want %d", b, got, whole)
			}
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, b); err != nil {
			t.Fatal(err)
		}
		if wire.Compact(b) != bytes.Equal(compact.Bytes(), b) {
			t.Fatalf("%q is compact: %v", b, wire.Compact(b))
		}
	})
}

// FuzzStringsAreWrittenAlike holds AppendString against encoding/json.
func FuzzStringsAreWrittenAlike(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := string(wire.AppendString(nil, s)) + "\n"; got != want.String() {
			t.Fatalf("%q is written %q, want %q", s, got, want.String())
		}
	})
}

func TestWhatIsOrdinaryIsTaken(t *testing.T) {
	for _, s := range []string{
		`{"tool":"add","arguments":{"name":"Ada","n":[1,-2.5e3,true,null]},"deadline_ms":60000}`,
		" {\n\"a\" : \"line\\nbreak, \\\"quoted\\\", \\u00e9 标题\"\t}\n",
	} {
		r := wire.NewReader([]byte(s))
		if r.Skip(); !r.Ended() {
			t.Errorf("%s wasn't taken", s)
		}
	}
}

func TestAReaderThatFailedStaysFailed(t *testing.T) {
	r := wire.NewReader([]byte(`"text" 1 true {"a":1} [2]`))
	r.Open('{')
	if r.String() != "" || r.Int() != 0 || r.Bool() || r.Open('{') || r.Element(true) || r.Skip() != nil || r.Number() != nil || !r.Failed() || r.Ended() {
		t.Error("it went on")
	}
	if _, ok := r.Member(true); ok {
		t.Error("it has a member")
	}
}
