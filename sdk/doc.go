// Package sdk is what a Sallyport plugin is written with. A plugin registers
// its tools when it starts and has an empty main:
//
//	type Args struct {
//		Name string `json:"name" doc:"whom to greet" minLength:"1"`
//	}
//
//	func init() {
//		sdk.Tool("greet", "Greets someone by name.", func(ctx sdk.Context, in Args) (string, error) {
//			return "Hello, " + in.Name + "!", nil
//		})
//	}
//
//	func main() {}
//
// The package owns registration, schemas, the decoding of arguments, results,
// and the plugin's end of the ABI. Each capability has a package of its own,
// such as sdk/kernel; using one adds its imports to the plugin, which an
// operator sees. Package sdk/sdktest runs tools natively, in ordinary tests.
//
// # Arguments
//
// A tool's arguments are a struct. Its JSON Schema comes from the fields and
// their tags:
//
//	json:"name"        the argument's name
//	doc:"..."          its description, for the agent
//	enum:"a,b"         the values allowed, of a string or a number
//	minimum:"1"        bounds of a number
//	maximum:"600"
//	minLength:"1"      bounds of a string, in characters
//	maxLength:"80"
//	minItems:"1"       bounds of a slice
//	maxItems:"10"
//	default:"text"     used when the argument is absent; JSON where it isn't a string
//
// An argument is required unless its json tag says omitempty (or omitzero), it
// has a default, or it is a pointer. On a slice or a map, enum and the bounds
// of numbers and strings are for the elements.
//
// Fields are strings, booleans, integers, floats, structs, slices, maps with
// string keys, types with UnmarshalText (a string in JSON), any and
// json.RawMessage (any JSON), and pointers to these. Embedded structs are taken
// as if their fields were the outer one's. Bytes, time.Duration, recursive
// types and everything that JSON doesn't have make Tool panic with the reason,
// which the first test or build of the plugin shows.
//
// Arguments are read strictly: unknown names, wrong types, null and values out
// of bounds are refused with invalid_argument and the JSON pointer of the
// place, and the tool's function isn't called.
//
// # Results
//
// A tool answers with a string, with a struct (or a map with string keys, or
// json.RawMessage), or with a Result. A struct becomes structured content with
// an output schema, and its JSON is the text as well. A tool that shows images
// answers with a Result: some clients drop images beside structured content.
//
// # Errors
//
// A tool that returns an *abi.Error says that the call could not be carried
// out as asked: the agent gets the code, message and hint. Host functions and
// Reason return such errors, and Errorf and BadArgument make them. Any other
// error says that the tool did its work and the agent should read what went
// wrong: it becomes a Result with IsError and the error's text. An error of
// the call's own context is deadline_exceeded or canceled.
//
// A panic in a tool is recovered: the call fails with plugin_failed, and the
// stack is on stderr, which the host keeps. In a function that Go runs it is the
// function's error. A panic in a goroutine that the tool started can't be
// recovered and traps.
//
// # What the agent sees meanwhile
//
// A result comes when a tool returns. Before that the agent sees what
// Context.Progress reports, and the output of what was started with Stream of
// package kernel or package tool, each line as it comes, while the plugin waits
// for the end. Context.Log is for the operator.
//
// # Several things at once
//
// Go runs a function beside others, and Wait waits for them: one drives a
// kernel while another fetches, each in ordinary blocking calls. Goroutines of
// the tool's own work as well, but while one of those waits for the host the
// whole sandbox does, unless a function that Go runs is under way; and nobody
// ends them with the call.
//
// # Files
//
// Files are the operating system's: os.ReadFile, os.Create and any library
// that takes a path. Context.Path turns a path such as /output/chart.png into
// the one to use, which is the same in a sandbox and a temporary directory in
// tests. After a refused file call Context.Reason has the host's reason.
package sdk
