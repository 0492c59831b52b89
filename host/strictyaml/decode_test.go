package strictyaml_test

import (
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

type garden struct {
	Name   string            `yaml:"name"`
	Open   bool              `yaml:"open,omitempty"`
	Beds   []bed             `yaml:"beds,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Rest   abi.Duration      `json:"rest,omitempty"`
	Doors  []abi.PortRange   `json:"doors,omitempty"`
	Roads  []netip.Prefix    `json:"roads,omitempty"`
	Gate   string            `json:"-"`
}

type bed struct {
	Plant string `yaml:"plant"`
	Rows  int    `yaml:"rows,omitempty"`
	Soil  *soil  `yaml:"soil,omitempty"`
}

type soil struct {
	Kind string `yaml:"kind"`
}

func TestDecodeReadsEveryShape(t *testing.T) {
	const text = `# a garden
name: "1.10"
open: true
beds:
  - plant: leek
    rows: 3
    soil: {kind: clay}
  - {plant: bean}
labels:
  version: 1.10
  hex: 0x10
  yes: true
  date: 2026-01-02
  block: |
    two
    lines
rest: 5m
doors: [443, "80", 8000-8099]
roads: [10.1.0.0/16, "fd00::/8"]
`
	var got garden
	if _, err := strictyaml.Decode([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := garden{
		Name: "1.10", Open: true,
		Beds:   []bed{{Plant: "leek", Rows: 3, Soil: &soil{"clay"}}, {Plant: "bean"}},
		Labels: map[string]string{"version": "1.10", "hex": "0x10", "yes": "true", "date": "2026-01-02", "block": "two\nlines\n"},
		Rest:   abi.Duration(5 * time.Minute),
		Doors:  []abi.PortRange{{First: 443, Last: 443}, {First: 80, Last: 80}, {First: 8000, Last: 8099}},
		Roads:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestNothingIsTheEmptyStruct(t *testing.T) {
	for _, text := range []string{"", "\n", "# only a comment\n", "---\n", "beds:\nlabels:\n", "beds: []\nlabels: {}\n"} {
		var got garden
		if _, err := strictyaml.Decode([]byte(text), &got); err != nil || !reflect.DeepEqual(got, garden{}) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestMistakesNamePlaceAndRemedy(t *testing.T) {
	tests := []struct{ name, text, message, hint string }{
		{"unknown field", "name: a\nnmae: b\n", `2:1: unknown field "nmae"`, "the fields here are name, open, beds, labels, rest, doors, roads"},
		{"unknown nested field", "beds:\n  - plnt: x\n", `2:5: unknown field "plnt" in beds[0]`, "plant, rows, soil"},
		{"unnamed field", "Gate: b\n", `1:1: unknown field "Gate"`, ""},
		{"another case", "Name: b\n", `1:1: unknown field "Name"`, ""},
		{"doubled key", "name: a\nname: b\n", `2:1: mapping key "name" already defined`, ""},
		{"list for text", "name: [a]\n", `1:7: name is a list: write text`, ""},
		{"mapping for text", "name: {a: b}\n", `1:7: name is a mapping: write text`, ""},
		{"nothing for text", "name:\n", `name has no value: write text`, `write "" for an empty text`},
		{"null for text", "name: null\n", `1:7: name has no value: write text`, ""},
		{"text for truth", "open: maybe\n", `1:7: open is "maybe": write true or false`, ""},
		{"fraction for number", "beds: [{rows: 1.5}]\n", `1:15: beds[0].rows is "1.5": write a whole number`, ""},
		{"huge number", "beds: [{rows: 99999999999999999999}]\n", `beds[0].rows is "99999999999999999999": write a whole number`, ""},
		{"text for list", "beds: leek\n", `1:7: beds is text: write a list`, "in brackets"},
		{"empty item", "beds:\n  -\n  - plant: x\n", `beds[0] has no value`, "remove the dash"},
		{"text for struct", "beds: [leek]\n", `1:8: beds[0] is text: write a mapping of plant, rows, soil`, ""},
		{"empty pointer", "beds: [{soil: }]\n", `beds[0].soil has no value`, "remove the line"},
		{"list for map", "labels: [a]\n", `1:9: labels is a list: write a mapping`, ""},
		{"text for document", "leek\n", `1:1: the document is text: write a mapping of name`, ""},
		{"bad duration", "rest: 5\n", `1:7: rest: duration "5": use a number with a unit, such as 90s or 5m`, ""},
		{"octal port", "doors: [0443]\n", `1:9: doors[0]: port "0443": use a port from 1 to 65535`, ""},
		{"address for prefix", "roads: [10.1.2.3]\n", `1:9: roads[0] is "10.1.2.3": write a prefix such as 10.1.0.0/16`, ""},
		{"list for duration", "rest: [5m]\n", `1:7: rest is a list: write text`, ""},
		{"anchor", "name: &a b\n", `anchors and aliases aren't read here`, "write the value out"},
		{"merge", "labels: {a: b, <<: {c: d}}\n", `1:16: a key of this kind isn't read here`, "plain word"},
		{"tag", "name: !!str 5\n", `tags aren't read here`, "quotes"},
		{"two documents", "name: a\n---\nname: b\n", `3:1: a second document`, "---"},
		{"tab", "beds:\n\t- plant: x\n", `2:1: a tab`, "indent with spaces"},
		{"unclosed", "name: [a\n", `1:7: `, ""},
		{"deep brackets", "labels: " + strings.Repeat("[", 5000), `1:1009: more than 1000 brackets are open`, ""},
		{"deep dashes", "beds: \n" + strings.Repeat("- ", 100) + "a", `is a list: write a mapping`, ""},
		{"huge", strings.Repeat("# x\n", strictyaml.MaxBytes/4+1), `1:1: the file has`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g garden
			_, err := strictyaml.Decode([]byte(tt.text), &g)
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatalf("got %v, want invalid_argument", err)
			}
			e := abi.AsError(err)
			if !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got  %q, hint %q\nwant %q, hint %q", e.Message, e.Hint, tt.message, tt.hint)
			}
		})
	}
}

func TestSourceNamesTheNearestPlace(t *testing.T) {
	var g garden
	src, err := strictyaml.Decode([]byte("name: a\nbeds:\n  - plant: leek\n    soil: {kind: clay}\n"), &g)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"name":                 "1:7: wrong",
		"beds[0].plant":        "3:12: wrong",
		"beds[0].soil.kind":    "4:18: wrong",
		"beds[0].rows":         "3:5: wrong",
		"beds[7].soil":         "3:3: wrong",
		"labels.x":             "1:1: wrong",
		"nothing[1].like.that": "1:1: wrong",
	} {
		if got := src.Errorf(path, "wrong").Message; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := strictyaml.InFile("garden.yaml", src.Errorf("name", "wrong").WithHint("do")); abi.AsError(got).Message != "garden.yaml:1:7: wrong" || abi.AsError(got).Hint != "do" {
		t.Errorf("in a file: %+v", got)
	}
	if strictyaml.InFile("garden.yaml", nil) != nil {
		t.Error("nil in a file isn't nil")
	}
}

func TestEncodeIsWhatDecodeReads(t *testing.T) {
	g := garden{
		Name: "true", Beds: []bed{{Plant: "- x: #", Soil: &soil{}}},
		Labels: map[string]string{"b": "null", "a": "1.10", "": "", "c d": "two\nlines\n", "~": "5", "e": " lead", "f": "日本\u00a0\t"},
		Rest:   abi.Duration(90 * time.Minute),
		Doors:  []abi.PortRange{{First: 443, Last: 443}, {First: 8000, Last: 8099}},
		Roads:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}
	first, err := strictyaml.Encode("one\ntwo", g)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(first), "# one\n# two\nname:") || !strings.Contains(string(first), "rest: 1h30m\ndoors: [443, \"8000-8099\"]\nroads: [\"10.1.0.0/16\"]\n") {
		t.Errorf("got:\n%s", first)
	}
	var back garden
	if _, err := strictyaml.Decode(first, &back); err != nil {
		t.Fatalf("%v in:\n%s", err, first)
	}
	if !reflect.DeepEqual(back, g) {
		t.Errorf("got  %+v\nwant %+v\nfrom:\n%s", back, g, first)
	}
	second, err := strictyaml.Encode("one\ntwo", back)
	if err != nil || string(second) != string(first) {
		t.Errorf("the second encoding differs (%v):\n%s", err, second)
	}
}

func TestBriefDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", 5 * time.Minute: "5m", 2 * time.Hour: "2h",
		2*time.Hour + time.Second: "2h0m1s", 10*time.Minute + 10*time.Second: "10m10s", 100 * time.Millisecond: "100ms",
	} {
		if got := strictyaml.Brief(abi.Duration(d)); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("name: a\nbeds: [{plant: b, rows: 1, soil: {kind: c}}]\nlabels: {a: b}\nrest: 5m\n")
	f.Add("beds:\n  - plant: |\n      x\n  - plant: >-\n      y\n? a\n: b\n")
	f.Add("a: &x [*x]\nb: !!binary aGk=\n<<: *x\n%YAML 1.2\n---\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return // the parser's time grows with the square of the depth
		}
		var g garden
		if _, err := strictyaml.Decode([]byte(text), &g); err != nil {
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add("key", "value", "name")
	f.Add("a: b", "- c", "'\"")
	f.Add("\n", "\t\r\n \x00", "…\u2028\u0085\ufeff")
	f.Fuzz(func(t *testing.T, key, value, name string) {
		if !utf8.ValidString(key) || !utf8.ValidString(value) || !utf8.ValidString(name) {
			return
		}
		if len(key)+len(value)+len(name) > 400 {
			return // brackets past the bound are refused, wherever they stand
		}
		in := garden{Name: name, Labels: map[string]string{key: value, "other": name}}
		b, err := strictyaml.Encode("", in)
		if err != nil {
			t.Fatal(err)
		}
		var out garden
		if _, err := strictyaml.Decode(b, &out); err != nil {
			t.Fatalf("%v in:\n%s", err, b)
		}
		if out.Name != in.Name || !maps.Equal(out.Labels, in.Labels) {
			t.Fatalf("got  %+v\nwant %+v\nfrom:\n%s", out, in, b)
		}
	})
}
