package schema_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/sdk/internal/schema"
)

type inner struct {
	N     int64    `json:"n"`
	Names []string `json:"names"`
}

// written has all that Append writes by itself.
type written struct {
	inner
	Text   string             `json:"text"`
	Level  level              `json:"level,omitempty"`
	Bool   bool               `json:"bool,omitzero"`
	Small  uint8              `json:"small,omitempty"`
	Large  uint64             `json:"large"`
	Float  float64            `json:"float"`
	Single float32            `json:"single,omitempty"`
	Rows   [][]float64        `json:"rows"`
	Sizes  map[string]int     `json:"sizes"`
	More   map[level]inner    `json:"more,omitempty"`
	At     *inner             `json:"at"`
	Maybe  *string            `json:"maybe,omitempty"`
	Zero   inner              `json:"zero,omitzero"`
	List   []inner            `json:"list,omitempty"`
	Maps   []map[string]*bool `json:"-"`
}

// isWritten holds that what Append writes of v encoding/json writes as well. It
// says whether Append did.
func isWritten[T any](t *testing.T, v T) bool {
	t.Helper()
	s, err := schema.Output(reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	got, ok := s.Append([]byte("before"), reflect.ValueOf(&v).Elem())
	if !ok {
		return false
	}
	var want bytes.Buffer
	want.WriteString("before")
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatalf("%+v is written %s, and can't be: %v", v, got, err)
	}
	if string(got)+"\n" != want.String() {
		t.Fatalf("%+v is written\n%s\nwant\n%s", v, got, want.String())
	}
	return true
}

func TestFloatsAreWrittenAlike(t *testing.T) {
	type floats struct {
		Double float64 `json:"double"`
		Single float32 `json:"single"`
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1.5, 1e20, 1e21, -1e22, 1e-6, 1e-7, 1.5e-9, 1e-10, 1e100, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Pi, 16777217} {
		if !isWritten(t, floats{f, float32(min(f, math.MaxFloat32))}) {
			t.Errorf("%g wasn't written", f)
		}
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if isWritten(t, floats{Double: f}) {
			t.Errorf("%g was written", f)
		}
	}
}

// byPointer and byZero have methods that encoding/json uses here and there.
type byPointer struct{ N int }

func (*byPointer) MarshalJSON() ([]byte, error) { return []byte(`"own"`), nil }

type byZero struct{ N int }

func (byZero) IsZero() bool { return true }

func TestWhatWritesItselfIsLeftToJSON(t *testing.T) {
	if isWritten(t, struct {
		T time.Time `json:"t"`
	}{}) || isWritten(t, struct {
		A any `json:"a"`
	}{}) || isWritten(t, struct {
		R json.RawMessage `json:"r"`
	}{}) || isWritten(t, struct {
		P []byPointer `json:"p"`
	}{P: []byPointer{{1}}}) || isWritten(t, struct {
		P *byPointer `json:"p"`
	}{}) || isWritten(t, struct {
		Z byZero `json:"z,omitzero"`
	}{}) || isWritten(t, struct {
		N int `json:"a/b"`
	}{}) {
		t.Error("it was written")
	}
	if !isWritten(t, struct {
		Z byZero `json:"z"`
	}{}) {
		t.Error("a struct wasn't written")
	}
}

// FuzzValuesAreWrittenAlike holds Append against encoding/json.
func FuzzValuesAreWrittenAlike(f *testing.F) {
	for _, s := range append([]string{
		`{"n":-5,"names":["a","<b>"],"text":"line\n\"q\" 标题 \u2028","level":"high","bool":true,"small":255,"large":18446744073709551615,"float":1e-9,"single":0.1,` +
			`"rows":[[1,2.5],null,[]],"sizes":{"b":1,"a":2},"more":{"x":{"n":1}},"at":{"n":2},"maybe":"","zero":{"n":1},"list":[{},{"names":[]}]}`,
	}, inputs...) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v written
		_ = json.Unmarshal(raw, &v) // what could be read
		if !isWritten(t, v) {
			t.Fatalf("%+v wasn't written", v)
		}
	})
}
