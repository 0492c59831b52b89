package plugin_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

const runSchema = `{
	"type": "object",
	"properties": {
		"code": {"type": "string", "minLength": 1, "maxLength": 20},
		"timeout": {"type": "number", "minimum": 0, "maximum": 600},
		"over": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
		"even": {"type": "integer", "multipleOf": 2},
		"mode": {"enum": ["fast", "safe"]},
		"kind": {"const": "cell"},
		"word": {"type": "string", "pattern": "^[a-z]+$"},
		"tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3, "uniqueItems": true},
		"pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
		"edits": {"type": "array", "items": {"$ref": "#/$defs/edit"}},
		"labels": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 2},
		"a/b~c": {"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": false},
		"maybe": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/edit"}]},
		"either": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
		"both": {"allOf": [{"type": "object"}, {"required": ["z"]}]},
		"null": {"type": ["null", "string"]},
		"nothing": {"type": "object", "additionalProperties": false},
		"needs": {"type": "object", "dependentRequired": {"a": ["b"]}},
		"not": {"not": {"type": "string"}}
	},
	"required": ["code"],
	"additionalProperties": false,
	"$defs": {
		"edit": {"type": "object", "properties": {"old": {"type": "string"}, "line": {"type": "integer", "minimum": 1}}, "required": ["old"], "additionalProperties": false}
	}
}`

func TestArgumentsThatFitAreTaken(t *testing.T) {
	a := parse(t, guest{manifest: manifest(runSchema)}.wasm(t))
	for _, args := range []string{
		`{"code":"1+1"}`,
		`{"code":"1+1","timeout":2.5,"mode":"fast","tags":["a","b"],"edits":[{"old":"x","line":1}],"maybe":null,"null":null,"either":{"a":1}}`,
		` {"code" : "日本語日本語日本語" } `,
	} {
		if err := a.Validate("tell", json.RawMessage(args)); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	free := parse(t, guest{manifest: manifest(anyObject)}.wasm(t))
	for _, args := range []json.RawMessage{nil, json.RawMessage(`{}`), json.RawMessage(`{"x":[1]}`)} {
		if err := free.Validate("tell", args); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestTheFieldAtFaultIsNamed(t *testing.T) {
	a := parse(t, guest{manifest: manifest(runSchema)}.wasm(t))
	tests := []struct{ name, args, field, message string }{
		{"nothing", ``, "/code", "/code is required"},
		{"missing", `{"timeout":1}`, "/code", "weather_tell: /code is required"},
		{"wrong type", `{"code":5}`, "/code", "/code is an integer, and must be a string"},
		{"null", `{"code":null}`, "/code", "/code is null, and must be a string"},
		{"too short", `{"code":""}`, "/code", "/code has 0 characters: use 1 or more"},
		{"too long", `{"code":"123456789012345678901"}`, "/code", "/code has 21 characters: use 20 or fewer"},
		{"unknown", `{"code":"1","cod":2}`, "/cod", "/cod is unknown: what is taken here is a/b~c, both, code"},
		{"too small", `{"code":"1","timeout":-1}`, "/timeout", "/timeout is -1: use 0 or more"},
		{"too large", `{"code":"1","timeout":600.5}`, "/timeout", "/timeout is 600.5: use 600 or less"},
		{"at the open bound", `{"code":"1","over":0}`, "/over", "/over is 0: use more than 0"},
		{"at the other", `{"code":"1","over":10}`, "/over", "/over is 10: use less than 10"},
		{"odd", `{"code":"1","even":3}`, "/even", "/even is 3: use a multiple of 2"},
		{"fraction", `{"code":"1","even":2.5}`, "/even", "/even is a number, and must be an integer"},
		{"not of the list", `{"code":"1","mode":"slow"}`, "/mode", `/mode is "slow": use one of "fast", "safe"`},
		{"not the constant", `{"code":"1","kind":"cells"}`, "/kind", `/kind is "cells": use "cell"`},
		{"pattern", `{"code":"1","word":"A1"}`, "/word", `/word is "A1", which doesn't match ^[a-z]+$`},
		{"item", `{"code":"1","tags":["a",2]}`, "/tags/1", "/tags/1 is an integer, and must be a string"},
		{"no items", `{"code":"1","tags":[]}`, "/tags", "/tags has 0 items: use 1 or more"},
		{"too many items", `{"code":"1","tags":["a","b","c","d"]}`, "/tags", "/tags has 4 items: use 3 or fewer"},
		{"item twice", `{"code":"1","tags":["a","a"]}`, "/tags", "/tags has the same item twice"},
		{"place in a pair", `{"code":"1","pair":["a","b"]}`, "/pair/1", "must be an integer"},
		{"deep", `{"code":"1","edits":[{"old":"x"},{"old":"y","line":0}]}`, "/edits/1/line", "/edits/1/line is 0: use 1 or more"},
		{"missing deep", `{"code":"1","edits":[{"line":1}]}`, "/edits/0/old", "/edits/0/old is required"},
		{"unknown deep", `{"code":"1","edits":[{"old":"x","new":"y"}]}`, "/edits/0/new", "/edits/0/new is unknown: what is taken here is line, old"},
		{"any key", `{"code":"1","labels":{"a":"b","c":1}}`, "/labels/c", "/labels/c is an integer, and must be a string"},
		{"too many keys", `{"code":"1","labels":{"a":"1","b":"2","c":"3"}}`, "/labels", "/labels has 3 fields: use 2 or fewer"},
		{"escaped", `{"code":"1","a/b~c":{"x/1":"y"}}`, "/a~1b~0c/x~11", "must be an integer"},
		{"beside a pattern", `{"code":"1","a/b~c":{"y":1}}`, "/a~1b~0c/y", "is unknown: nothing is taken here"},
		{"the branch that fits", `{"code":"1","maybe":{"old":5}}`, "/maybe/old", "must be a string"},
		{"no branch fits", `{"code":"1","either":{"c":1}}`, "/either", "/either is refused: oneOf"},
		{"all of", `{"code":"1","both":{}}`, "/both/z", "/both/z is required"},
		{"two types", `{"code":"1","null":5}`, "/null", "/null is an integer, and must be null or a string"},
		{"nothing taken", `{"code":"1","nothing":{"a":1}}`, "/nothing/a", "nothing is taken here"},
		{"dependent", `{"code":"1","needs":{"a":1}}`, "/needs", `/needs is refused: dependentRequired`},
		{"not", `{"code":"1","not":"x"}`, "/not", "/not is refused"},
		{"list", `[]`, "", "weather_tell: what was passed is an array, and must be an object"},
		{"string", `"code"`, "", "is a string, and must be an object"},
		{"null itself", `null`, "", "is null, and must be an object"},
		{"malformed", `{"code":`, "", "the arguments of weather_tell are not JSON: unexpected end of JSON input, at byte 8"},
		{"two values", `{"code":"1"} {}`, "", "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := a.Validate("tell", json.RawMessage(tt.args))
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatalf("got %v, want invalid_argument", err)
			}
			e := abi.AsError(err)
			if e.Field != tt.field || !strings.Contains(e.Message, tt.message) {
				t.Errorf("got  %q: %q\nwant %q: %q", e.Field, e.Message, tt.field, tt.message)
			}
			if !strings.HasPrefix(e.Hint, "weather_tell takes code (string, required), a/b~c (object), ") {
				t.Errorf("the hint doesn't list the arguments: %q", e.Hint)
			}
		})
	}
}

func TestUnknownToolsAreNotFound(t *testing.T) {
	a := parse(t, guest{manifest: manifest(anyObject)}.wasm(t))
	if err := a.Validate("run", nil); abi.CodeOf(err) != abi.CodeNotFound || !strings.Contains(abi.AsError(err).Hint, "tell") {
		t.Errorf("got %v", err)
	}
	err := parse(t, guest{manifest: manifest(`{"type":"object","additionalProperties":false}`)}.wasm(t)).Validate("tell", json.RawMessage(`{"a":1}`))
	if got := abi.AsError(err).Hint; got != "weather_tell takes no arguments: pass {}" {
		t.Errorf("hint %q", got)
	}
}

func TestCheckingArgumentsIsBounded(t *testing.T) {
	var props []string
	for i := range 4000 {
		props = append(props, `"p`+strconv.Itoa(i)+`":{"type":"string"}`)
	}
	a := parse(t, guest{manifest: manifest(`{"type":"object","properties":{` + strings.Join(props, ",") + `}}`)}.wasm(t))
	err := a.Validate("tell", json.RawMessage(`{"p1":"`+strings.Repeat("x", 1<<20)+`"}`))
	if abi.CodeOf(err) != abi.CodeResourceExhausted || !strings.Contains(abi.AsError(err).Hint, "workspace") {
		t.Errorf("got %v", err)
	}
	small := parse(t, guest{manifest: manifest(runSchema)}.wasm(t))
	err = small.Validate("tell", json.RawMessage(`{"code":"`+strings.Repeat("x", 4<<20)+`"}`))
	if e := abi.AsError(err); e == nil || e.Field != "/code" || len(e.Message) > 1000 {
		t.Errorf("a long value: %.200v", err)
	}
}

func TestDraft07SchemasAreRead(t *testing.T) {
	a := parse(t, guest{manifest: manifest(`{
		"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
		"definitions": {"n": {"type": "integer"}},
		"properties": {"list": {"items": [{"$ref": "#/definitions/n"}, {"type": "string"}], "additionalItems": {"type": "boolean"}}}
	}`)}.wasm(t))
	if err := a.Validate("tell", json.RawMessage(`{"list":[1,"a",true]}`)); err != nil {
		t.Error(err)
	}
	for args, field := range map[string]string{`{"list":["x"]}`: "/list/0", `{"list":[1,"a",2]}`: "/list/2"} {
		if e := abi.AsError(a.Validate("tell", json.RawMessage(args))); e == nil || e.Field != field {
			t.Errorf("%s: got %v, want %s", args, e, field)
		}
	}
}

func TestUsageListsArgumentsInWords(t *testing.T) {
	a := parse(t, guest{manifest: manifest(`{"type":"object","required":["path"],"properties":{
		"lines":{"type":["integer","null"]},"mode":{"enum":["r","w"]},"path":{"type":"string"},"any":{}}}`)}.wasm(t))
	want := []string{"path (string, required)", "any", "lines (integer or null)", `mode (one of "r", "w")`}
	if got := a.Usage("tell"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := a.Usage("none"); got != nil {
		t.Errorf("an unknown tool: %q", got)
	}
}

func FuzzValidate(f *testing.F) {
	for _, args := range []string{`{"code":"1"}`, `{"code":"1","edits":[{"old":"x","line":0}]}`, `{"code":"1","maybe":{"old":5}}`, `[]`, `{"a":{"b":[1,null,"x"]}}`} {
		f.Add(runSchema, args)
		f.Add(`{"type":"object","if":{"required":["a"]},"then":{"properties":{"a":{"items":{"uniqueItems":true}}}},"else":{"minProperties":9}}`, args)
		f.Add(`{"type":"object","unevaluatedProperties":false,"propertyNames":{"maxLength":1},"dependentSchemas":{"a":{"not":{}}},"properties":{"a":{"contains":{"const":null},"unevaluatedItems":{"multipleOf":0}}}}`, args)
	}
	f.Fuzz(func(t *testing.T, inputSchema, args string) {
		if !json.Valid([]byte(inputSchema)) || len(inputSchema) > 4096 || len(args) > 4096 {
			return
		}
		a, err := plugin.Parse(guest{manifest: manifest(inputSchema)}.wasm(t))
		if err != nil {
			return
		}
		err = a.Validate("tell", json.RawMessage(args))
		if err == nil {
			return
		}
		e := abi.AsError(err)
		if e.Code != abi.CodeInvalidArgument && e.Code != abi.CodeResourceExhausted {
			t.Fatalf("%s with %s: %v", inputSchema, args, err)
		}
		if e.Field != "" && !leads(t, args, e.Field) {
			t.Fatalf("%s with %s: %q leads nowhere", inputSchema, args, e.Field)
		}
	})
}

// leads says whether a JSON pointer leads to a value of doc, or to a field that
// an object of doc lacks.
func leads(t *testing.T, doc, pointer string) bool {
	t.Helper()
	var v any = map[string]any{}
	if doc != "" {
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatal(err)
		}
	}
	tokens := strings.Split(pointer, "/")[1:]
	for i, token := range tokens {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch x := v.(type) {
		case map[string]any:
			inner, ok := x[token]
			if !ok {
				return i == len(tokens)-1
			}
			v = inner
		case []any:
			n, err := strconv.Atoi(token)
			if err != nil || n < 0 || n >= len(x) {
				return false
			}
			v = x[n]
		default:
			return false
		}
	}
	return true
}
