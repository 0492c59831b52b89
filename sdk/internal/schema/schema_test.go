package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk/internal/schema"
)

type level string

type page struct {
	Limit  int `json:"limit" doc:"how many" minimum:"1" maximum:"100" default:"20"`
	Offset int `json:"offset,omitempty" minimum:"0"`
}

type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

type everything struct {
	page
	Text    string             `json:"text" doc:"some <text>, with \"quotes\"" minLength:"1" maxLength:"5"`
	Level   level              `json:"level" enum:"low,high" default:"low"`
	Port    uint16             `json:"port,omitempty" minimum:"1"`
	Ratio   float32            `json:"ratio,omitempty" minimum:"0.5" maximum:"1.5"`
	Fast    bool               `json:"fast,omitzero"`
	Tags    []string           `json:"tags,omitempty" enum:"a,b" minItems:"1" maxItems:"3"`
	Sizes   map[string]float64 `json:"sizes,omitempty" minimum:"0"`
	At      *point             `json:"at" doc:"where"`
	Path    []point            `json:"path,omitempty"`
	Since   time.Time          `json:"since,omitzero"`
	Wait    abi.Duration       `json:"wait,omitempty" default:"90s"`
	Extra   json.RawMessage    `json:"extra,omitempty" doc:"anything"`
	Any     any                `json:"any,omitempty"`
	Nested  page               `json:"nested,omitempty"`
	Five    int                `json:"five,omitempty" enum:"1,5"`
	Ignored string             `json:"-"`
	private string
}

const everythingSchema = `{
 "type": "object",
 "properties": {
  "limit": {"type": "integer", "description": "how many", "minimum": 1, "maximum": 100, "default": 20},
  "offset": {"type": "integer", "minimum": 0},
  "text": {"type": "string", "description": "some <text>, with \"quotes\"", "minLength": 1, "maxLength": 5},
  "level": {"type": "string", "enum": ["low", "high"], "default": "low"},
  "port": {"type": "integer", "minimum": 1},
  "ratio": {"type": "number", "minimum": 0.5, "maximum": 1.5},
  "fast": {"type": "boolean"},
  "tags": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string", "enum": ["a", "b"]}},
  "sizes": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
  "at": {"type": "object", "description": "where", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"], "additionalProperties": false},
  "path": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"], "additionalProperties": false}},
  "since": {"type": "string", "format": "date-time"},
  "wait": {"type": "string", "default": "90s"},
  "extra": {"description": "anything"},
  "any": {},
  "nested": {"type": "object", "properties": {"limit": {"type": "integer", "description": "how many", "minimum": 1, "maximum": 100, "default": 20}, "offset": {"type": "integer", "minimum": 0}}, "additionalProperties": false},
  "five": {"type": "integer", "enum": [1, 5]}
 },
 "required": ["text"],
 "additionalProperties": false
}`

func TestInputSchemaHasTheTagsInTheOrderOfTheFields(t *testing.T) {
	s, err := schema.Input(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(everythingSchema)); err != nil {
		t.Fatal(err)
	}
	if got := string(s.JSON()); got != want.String() {
		t.Errorf("schema is\n%s\nwant\n%s", got, want.String())
	}
}

func TestOutputSchemaDescribesWhatJSONWrites(t *testing.T) {
	type row struct {
		Name  string           `json:"name" doc:"of the file"`
		Sizes []int            `json:"sizes"`
		Meta  map[string]int   `json:"meta,omitempty"`
		At    *point           `json:"at"`
		Raw   *json.RawMessage `json:"raw,omitempty"`
		When  time.Time        `json:"when"`
	}
	s, err := schema.Output(reflect.TypeFor[row]())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"object","properties":{` +
		`"name":{"type":"string","description":"of the file"},` +
		`"sizes":{"type":["array","null"],"items":{"type":"integer"}},` +
		`"meta":{"type":"object","additionalProperties":{"type":"integer"}},` +
		`"at":{"type":["object","null"],"properties":{"x":{"type":"number"},"y":{"type":"number"}},"required":["x","y"],"additionalProperties":false},` +
		`"raw":{},` +
		`"when":{"type":"string","format":"date-time"}` +
		`},"required":["name","sizes","at","when"],"additionalProperties":false}`
	if got := string(s.JSON()); got != want {
		t.Errorf("schema is\n%s\nwant\n%s", got, want)
	}
}

func TestRootMayBeAMapOrAnyObject(t *testing.T) {
	for want, typ := range map[string]reflect.Type{
		`{"type":"object"}`: reflect.TypeFor[json.RawMessage](),
		`{"type":"object","additionalProperties":{"type":"integer"}}`:    reflect.TypeFor[map[string]int](),
		`{"type":"object","properties":{},"additionalProperties":false}`: reflect.TypeFor[struct{}](),
	} {
		s, err := schema.Input(typ)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(s.JSON()); got != want {
			t.Errorf("%v: schema is %s, want %s", typ, got, want)
		}
	}
}

type loop struct {
	Next *loop `json:"next"`
}

type looped struct {
	Rows []struct {
		Loop map[string]loop `json:"loop"`
	} `json:"rows"`
}

type embedsPointer struct{ *page }

type outer struct {
	page
	Limit string `json:"limit"`
}

func TestTypesThatCannotBeArgumentsAreRefusedByName(t *testing.T) {
	tests := []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeFor[string](), "string is not a struct"},
		{reflect.TypeFor[time.Time](), "not read or written as a JSON object"},
		{reflect.TypeFor[struct{ B []byte }](), ".B is bytes"},
		{reflect.TypeFor[struct{ B [][]byte }](), ".B[] is bytes"},
		{reflect.TypeFor[struct{ D time.Duration }](), ".D is a time.Duration"},
		{reflect.TypeFor[struct{ C chan int }](), ".C is of type chan int"},
		{reflect.TypeFor[struct{ A [2]int }](), ".A is of type [2]int"},
		{reflect.TypeFor[struct{ E error }](), ".E is of type error"},
		{reflect.TypeFor[struct{ M map[int]string }](), ".M is a map with keys of int"},
		{reflect.TypeFor[struct{ P **int }](), ".P is a pointer"},
		{reflect.TypeFor[loop](), ".Next is of type schema_test.loop again: a schema can't be recursive"},
		{reflect.TypeFor[looped](), ".Next is of type schema_test.loop again"},
		{reflect.TypeFor[embedsPointer](), "page is embedded and not a struct"},
		{reflect.TypeFor[outer](), `.Limit has the name "limit"`},
		{reflect.TypeFor[struct {
			N int `json:",string"`
		}](), "json option string"},
		{reflect.TypeFor[struct {
			N int `minimum:"many"`
		}](), `.N: minimum is "many"`},
		{reflect.TypeFor[struct {
			N int `minimum:"2" maximum:"1"`
		}](), ".N: minimum 2 is over maximum 1"},
		{reflect.TypeFor[struct {
			S string `minimum:"2"`
		}](), ".S: minimum is for numbers"},
		{reflect.TypeFor[struct {
			N int `maxLength:"2"`
		}](), ".N: maxLength is for strings"},
		{reflect.TypeFor[struct {
			S string `maxItems:"2"`
		}](), ".S: maxItems is for slices"},
		{reflect.TypeFor[struct {
			S string `minLength:"3" maxLength:"2"`
		}](), ".S: the least length is over the greatest"},
		{reflect.TypeFor[struct {
			S string `maxLength:"-2"`
		}](), ".S: maxLength is \"-2\""},
		{reflect.TypeFor[struct {
			S string `enum:"a,b" default:"c"`
		}](), ".S: default c doesn't fit"},
		{reflect.TypeFor[struct {
			N int `default:"many"`
		}](), ".N: default: \"many\" is not JSON"},
		{reflect.TypeFor[struct {
			N int `enum:"1,1.5"`
		}](), ".N: enum: 1.5 doesn't fit int"},
		{reflect.TypeFor[struct {
			B bool `enum:"true"`
		}](), ".B: enum is for strings and numbers"},
	}
	for _, tt := range tests {
		_, err := schema.Input(tt.typ)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Input(%v) = %v, want an error with %q", tt.typ, err, tt.want)
		}
	}
}

func decode[T any](t testing.TB, raw string) (T, error) {
	t.Helper()
	s, err := schema.Input(reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	var v T
	err = s.Decode(json.RawMessage(raw), reflect.ValueOf(&v).Elem())
	return v, err
}

func TestDecodeReadsEveryKindAndAppliesDefaults(t *testing.T) {
	got, err := decode[everything](t, `{
		"text": "héllo", "port": 8080, "ratio": 0.5, "fast": true, "tags": ["a","b"], "sizes": {"x/y": 1e3},
		"at": {"x": 1, "y": -2.5}, "path": [{"x":0,"y":0}], "since": "2026-01-02T03:04:05Z",
		"extra": {"b": [1, 2],"a":null}, "any": [true], "offset": 5.0, "five": 5}`)
	if err != nil {
		t.Fatal(err)
	}
	want := everything{
		page: page{Limit: 20, Offset: 5},
		Text: "héllo", Level: "low", Port: 8080, Ratio: 0.5, Fast: true, Tags: []string{"a", "b"},
		Sizes: map[string]float64{"x/y": 1000}, At: &point{1, -2.5}, Path: []point{{}},
		Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Wait: abi.Duration(90 * time.Second),
		Extra: json.RawMessage(`{"b": [1, 2],"a":null}`), Any: []any{true}, Nested: page{Limit: 20}, Five: 5,
	}
	if !reflect.DeepEqual(got, want) || got.private != "" {
		t.Errorf("decoded\n%+v, want\n%+v", got, want)
	}
}

func TestDecodeTakesAbsentArgumentsAsNone(t *testing.T) {
	for _, raw := range []string{"", "null", "{}", " {\n} "} {
		got, err := decode[page](t, raw)
		if err != nil || got.Limit != 20 {
			t.Errorf("decode(%q) = %+v, %v", raw, got, err)
		}
	}
}

func TestDecodeRefusesWhatTheSchemaRefuses(t *testing.T) {
	tests := []struct{ raw, field, message string }{
		{`[]`, "", "the arguments are not a JSON object"},
		{`{"text":`, "", "the arguments are not a JSON object"},
		{`{}`, "/text", "argument /text is required"},
		{`{"text":"a","Text":"b"}`, "/Text", "argument /Text is unknown"},
		{`{"text":"a","a/b~c":1}`, "/a~1b~0c", "is unknown"},
		{`{"text":1}`, "/text", "is number, not a string"},
		{`{"text":null}`, "/text", "is null, not a string"},
		{`{"text":""}`, "/text", "has 0 characters, fewer than 1"},
		{`{"text":"äöüßéè"}`, "/text", "has 6 characters, more than 5"},
		{`{"text":"a","level":"mid"}`, "/level", `is "mid", not one of "low", "high"`},
		{`{"text":"a","limit":0}`, "/limit", "is 0, less than the minimum 1"},
		{`{"text":"a","limit":101}`, "/limit", "is 101, more than the maximum 100"},
		{`{"text":"a","limit":1.5}`, "/limit", "is 1.5, not an integer"},
		{`{"text":"a","limit":99999999999999999999}`, "/limit", "not an integer of 64 bits"},
		{`{"text":"a","limit":"5"}`, "/limit", "is string, not an integer"},
		{`{"text":"a","port":-1}`, "/port", "is -1, not an integer of 0 to 65535"},
		{`{"text":"a","port":65536}`, "/port", "is 65536, not an integer of 0 to 65535"},
		{`{"text":"a","ratio":0.4}`, "/ratio", "less than the minimum 0.5"},
		{`{"text":"a","ratio":1e99}`, "/ratio", "too large"},
		{`{"text":"a","fast":"true"}`, "/fast", "is string, not a boolean"},
		{`{"text":"a","tags":"a"}`, "/tags", "is string, not an array"},
		{`{"text":"a","tags":[]}`, "/tags", "has 0 elements, fewer than 1"},
		{`{"text":"a","tags":["a","a","a","a"]}`, "/tags", "has 4 elements, more than 3"},
		{`{"text":"a","tags":["a","c"]}`, "/tags/1", `is "c", not one of`},
		{`{"text":"a","sizes":{"x/y":-1}}`, "/sizes/x~1y", "less than the minimum 0"},
		{`{"text":"a","at":{"x":1}}`, "/at/y", "is required"},
		{`{"text":"a","at":null}`, "/at", "is null, not an object"},
		{`{"text":"a","path":[{"x":1,"y":2},{"x":1,"y":2,"z":3}]}`, "/path/1/z", "is unknown"},
		{`{"text":"a","since":"yesterday"}`, "/since", `is "yesterday"`},
		{`{"text":"a","wait":"soon"}`, "/wait", "use a number with a unit"},
		{`{"text":"a","five":3}`, "/five", "is 3, not one of 1, 5"},
		{`{"text":"a","nested":{"limit":0}}`, "/nested/limit", "less than the minimum 1"},
	}
	for _, tt := range tests {
		_, err := decode[everything](t, tt.raw)
		e, ok := errors.AsType[*abi.Error](err)
		if !ok || e.Code != abi.CodeInvalidArgument || e.Field != tt.field || !strings.Contains(e.Message, tt.message) {
			t.Errorf("decode(%s) = %+v, want field %q and message %q", tt.raw, err, tt.field, tt.message)
		}
	}
}

func TestUnknownArgumentsAreToldWhatThereIs(t *testing.T) {
	_, err := decode[page](t, `{"lines":3}`)
	if hint := abi.AsError(err).Hint; hint != "it takes limit, offset" {
		t.Errorf("hint is %q", hint)
	}
}

func FuzzDecodeNeverPanicsAndAcceptsItsOwnOutput(f *testing.F) {
	f.Add([]byte(`{"text":"a","limit":3}`))
	f.Add([]byte(`{"text":"a","at":{"x":1,"y":2},"tags":["a"],"any":[{}],"since":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"text":"a","sizes":{"":1e-7},"wait":"1s","extra":0}`))
	s, err := schema.Input(reflect.TypeFor[everything]())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var first, second everything
		if err := s.Decode(raw, reflect.ValueOf(&first).Elem()); err != nil {
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatalf("%s: %v", raw, err)
			}
			return
		}
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		again = bytes.Replace(again, []byte(`,"at":null`), nil, 1) // null is no value
		if err := s.Decode(again, reflect.ValueOf(&second).Elem()); err != nil {
			t.Fatalf("%s was read and %s isn't: %v", raw, again, err)
		}
	})
}
