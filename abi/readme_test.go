package abi_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

func specification(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blocks returns the fenced blocks of the specification by what is written
// behind their fence.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(specification(t), -1) {
		list[m[1]] = m[2]
	}
	return list
}

// TestWorkedBytesAreTrue holds every dump in the specification against the
// vector it is named after, which the codec is tested with.
func TestWorkedBytesAreTrue(t *testing.T) {
	frames := map[string][]byte{}
	for _, v := range slices.Concat(vectors(t, "frame_*.txtar"), vectors(t, "message_*.txtar")) {
		frames[v.name] = v.frame
	}
	dumps := 0
	for name, text := range blocks(t) {
		if name == "json" {
			continue
		}
		want, ok := frames[name]
		if !ok {
			t.Errorf("no vector is called %s", name)
			continue
		}
		dumps++
		if got := unhex(t, text); !bytes.Equal(got, want) {
			t.Errorf("%s is %x, the vector has %x", name, got, want)
		}
		for line := range strings.Lines(text) {
			digits, shown, _ := strings.Cut(line, "|")
			if printable(unhex(t, digits)) != strings.TrimSuffix(shown, "|\n") {
				t.Errorf("%s: the text beside %s is %s", name, digits, shown)
			}
		}
	}
	if dumps < 20 {
		t.Errorf("the specification has %d dumps", dumps)
	}
}

// printable shows bytes as dumps do.
func printable(b []byte) string {
	out := bytes.Clone(b)
	for i, c := range out {
		if c < ' ' || c > '~' || c == '|' {
			out[i] = '.'
		}
	}
	return string(out)
}

func TestEveryMessageHasWorkedBytes(t *testing.T) {
	shown := map[string]bool{}
	for name := range blocks(t) {
		shown[name] = true
	}
	kinds := map[string]bool{}
	for _, v := range vectors(t, "message_*.txtar") {
		if shown[v.name] {
			kinds[v.message] = true
		}
	}
	for kind := range messages {
		if !kinds[kind] {
			t.Errorf("%s is shown nowhere", kind)
		}
	}
}

func TestSpecificationNamesEverything(t *testing.T) {
	text := specification(t)
	want := []string{
		"Sallyport ABI, version " + fmt.Sprint(abi.Version),
		"### `" + abi.ExportMemory + "`", "### `" + abi.ExportInitialize + ":", "### `" + abi.ExportArena + ":",
		"### `" + abi.ExportCall + ":", "### `" + abi.ExportDescribe + ":",
		"`" + abi.ModuleCall + "`", "`" + abi.ModuleKernel + "`", "`" + abi.ModuleBrowser + "`", "`" + abi.ModuleLatex + "`",
		"`" + abi.ModuleHTTP + "`", "`" + abi.ModuleProcess + "`", "`" + abi.ModuleTool + "`", "`" + abi.ModuleWASI + "`",
		"### `" + abi.ModuleCall + "` `" + abi.FuncResponse + ":",
		"The section `" + abi.SectionManifest + "`", "The section `" + abi.SectionFiles + "`",
	}
	for _, op := range abi.Ops() {
		_, function := abi.SplitOp(op)
		want = append(want, "\n### "+op+"\n", "`"+function+"`")
	}
	for i, mount := range abi.Mounts() {
		want = append(want, fmt.Sprintf("| %d | `%s` |", 3+i, mount))
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the specification lacks %q", w)
		}
	}
}

func TestSpecificationHasTheCodes(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| (-\\d+) \\| `(\\w+)` \\|").FindAllStringSubmatch(specification(t), -1)
	if len(rows) != len(abi.Codes()) {
		t.Fatalf("it has %d codes, there are %d", len(rows), len(abi.Codes()))
	}
	for i, c := range abi.Codes() {
		if rows[i][1] != fmt.Sprint(int32(c)) || rows[i][2] != c.String() {
			t.Errorf("row %d is %s %s, want %d %s", i, rows[i][1], rows[i][2], c, c)
		}
	}
}

func TestSpecificationHasTheBounds(t *testing.T) {
	text := strings.ReplaceAll(specification(t), ",", "")
	for row, bound := range map[string]int{
		"A frame's header":                             abi.MaxHeaderBytes,
		"A frame":                                      abi.MaxFrameBytes,
		"`kernel.execute`: `code`":                     abi.MaxCodeBytes,
		"`timeout_ms`":                                 abi.MaxTimeoutMS,
		"Tasks outstanding in a call":                  abi.MaxTasks,
		"Operations of capabilities in a call":         abi.MaxOperations,
		"`call.log` in a call":                         abi.MaxLogLines,
		"`call.progress` in a call":                    abi.MaxProgress,
		"`message` of a log line or a progress report": abi.MaxLogMessageBytes,
		"Fields of a log line":                         abi.MaxLogFields,
		"A field's value in a log line":                abi.MaxLogFieldBytes,
		"A tool's full name":                           abi.MaxToolName,
		"Calls of tools within calls of tools":         abi.MaxToolDepth,
		"`http.fetch`: `url`":                          abi.MaxURLBytes,
		"Headers of a request or a response":           abi.MaxHTTPHeaders,
		"Their names and values":                       abi.MaxHTTPHeaderBytes,
		"Redirects that are followed":                  abi.MaxRedirects,
		"The first part of a body":                     abi.MaxHTTPFirst,
		"`http.read`: `max_bytes`":                     abi.MaxHTTPRead,
		"Bodies open in a call":                        abi.MaxHTTPBodies,
		"A list in `capabilities.http`":                abi.MaxHTTPRules,
		"A host in it":                                 abi.MaxHostBytes,
	} {
		if want := fmt.Sprintf("\n| %s | %d", row, bound); !strings.Contains(text, want) {
			t.Errorf("the specification lacks %q", want)
		}
	}
}

// TestSpecificationHasTheScopes fails when something can be asked for that the
// specification doesn't name, in a row of a table.
func TestSpecificationHasTheScopes(t *testing.T) {
	text := specification(t)
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return
		}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !regexp.MustCompile("(?m)^\\|.*`(capabilities\\.|/)?" + name + "`").MatchString(text) {
				t.Errorf("%s.%s has no row with %q", typ, typ.Field(i).Name, name)
			}
			look(typ.Field(i).Type)
		}
	}
	look(reflect.TypeFor[abi.Capabilities]())
	look(reflect.TypeFor[abi.Limits]())
}

func TestManifestOfTheSpecificationIsValid(t *testing.T) {
	d := json.NewDecoder(strings.NewReader(blocks(t)["json"]))
	d.DisallowUnknownFields()
	var m abi.Manifest
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if m.Capabilities.Kernel == nil || m.Capabilities.Files == nil || m.Capabilities.HTTP == nil || m.Capabilities.Tool == nil || m.Limits.Deadline == 0 {
		t.Error("the example leaves something out")
	}
}
