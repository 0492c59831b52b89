package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"sync"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk/internal/schema"
)

// A tool is what Tool registered: what describe tells, and how it is called.
type tool struct {
	abi.Tool
	// call appends the frame of what the tool answers with.
	call func(dst []byte, ctx Context, args json.RawMessage) ([]byte, error)
	warm func() // reads and writes its types once
}

// tools are in the order of their registration, which numbers them.
var tools []tool

var toolName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,61}$`)

// An Option changes how a tool is described.
type Option func(*abi.Tool)

// ReadOnly tells agents that the tool changes nothing.
func ReadOnly() Option { return func(t *abi.Tool) { t.ReadOnly = true } }

// Tool registers a tool; call it from init. The name is without the plugin's
// ("run", not "python_run"), the description is what an agent decides by. In is
// a struct, whose fields and tags make the input schema; Out is a string, a
// struct, or a Result. The package's documentation has the rules.
//
// It panics when the name, the description or a type can't be used. Methods that
// write Out as JSON may be called with its zero value when the plugin is
// described. Fn may be called again before an earlier call has returned only in
// native tests: a sandbox runs one call at a time.
func Tool[In, Out any](name, description string, fn func(ctx Context, in In) (Out, error), opts ...Option) {
	if !toolName.MatchString(name) {
		panic(fmt.Sprintf("sdk: tool name is %q: use a lower-case letter and then letters, digits and underscores", name))
	}
	for _, t := range tools {
		if t.Name == name {
			panic(fmt.Sprintf("sdk: two tools are named %q", name))
		}
	}
	if description == "" {
		panic(fmt.Sprintf("sdk: tool %q has no description", name))
	}
	input, err := schema.Input(reflect.TypeFor[In]())
	if err != nil {
		panic(fmt.Sprintf("sdk: tool %q: arguments: %v", name, err))
	}
	output, appendOut, err := resultOf[Out]()
	if err != nil {
		panic(fmt.Sprintf("sdk: tool %q: result: %v", name, err))
	}
	t := tool{
		Tool: abi.Tool{Name: name, Description: description, InputSchema: input.JSON(), OutputSchema: output},
		call: func(dst []byte, ctx Context, args json.RawMessage) ([]byte, error) {
			var io struct { // in one place, of those that a call writes to
				in  In
				out Out
			}
			if err := input.Decode(args, reflect.ValueOf(&io.in).Elem()); err != nil {
				return nil, err
			}
			var err error
			io.out, err = fn(ctx, io.in)
			if err := failure(err); err != nil {
				return nil, err
			}
			return appendOut(dst, &io.out)
		},
		warm: func() {
			defer func() { _ = recover() }() // of a type's own methods, which may not expect its zero value
			var in In
			_ = input.Decode(json.RawMessage("{}"), reflect.ValueOf(&in).Elem())
			_, _ = appendOut(nil, new(Out))
		},
	}
	for _, opt := range opts {
		opt(&t.Tool)
	}
	tools = append(tools, t)
}

// resultOf returns the output schema of Out, nil where there is none, and the
// function that appends the frame of an Out.
func resultOf[Out any]() (json.RawMessage, func([]byte, *Out) ([]byte, error), error) {
	typ := reflect.TypeFor[Out]()
	switch typ {
	case reflect.TypeFor[Result]():
		return nil, func(dst []byte, out *Out) ([]byte, error) { return appendResult(dst, any(out).(*Result)) }, nil
	case reflect.TypeFor[string]():
		return nil, func(dst []byte, out *Out) ([]byte, error) { return appendText(dst, *any(out).(*string), false) }, nil
	}
	output, err := schema.Output(typ)
	if err != nil {
		return nil, nil, err
	}
	return output.JSON(), func(dst []byte, out *Out) ([]byte, error) {
		return appendStructured(dst, output, reflect.ValueOf(out).Elem())
	}, nil
}

// A marshaler is an encoder and what it writes to, for the next to use.
type marshaler struct {
	bytes.Buffer
	*json.Encoder
}

var marshalers = sync.Pool{New: func() any {
	m := &marshaler{}
	m.Encoder = json.NewEncoder(&m.Buffer)
	m.SetEscapeHTML(false) // the text is for reading
	return m
}}

func marshal(v any) (json.RawMessage, error) {
	m := marshalers.Get().(*marshaler)
	m.Reset()
	if err := m.Encode(v); err != nil {
		return nil, err // and m may have failed for good
	}
	raw := bytes.Clone(bytes.TrimSuffix(m.Bytes(), []byte("\n")))
	if m.Cap() <= keptBytes {
		marshalers.Put(m)
	}
	return raw, nil
}

// keptBytes is how large a buffer may be that is kept for the next call.
const keptBytes = 1 << 20
