package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// Bounds on single WASI calls, which no deadline reaches while they run.
const (
	maxSubscriptions = 1024 // of poll_oneoff
	maxDescriptor    = 1023 // that fd_renumber may choose: the runtime's table grows up to it
)

// A wasiFunction is one of wazero's WASI functions, with ours around it.
type wasiFunction struct {
	name      string
	signature signature
	call      api.GoModuleFunc
}

// wasiFunctions takes wazero's implementation apart, so that every function
// can be held to the call's time, its bounds and its error numbers.
func wasiFunctions() ([]wasiFunction, error) {
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	compiled, err := wasi_snapshot_preview1.NewBuilder(runtime).Compile(ctx)
	if err != nil {
		return nil, fmt.Errorf("compile WASI: %w", err)
	}
	var list []wasiFunction
	for name, def := range compiled.ExportedFunctions() {
		f, ok := def.GoFunction().(api.GoModuleFunction)
		if !ok {
			return nil, fmt.Errorf("the WASI function %s is a %T", name, def.GoFunction())
		}
		s := signature{params: string(def.ParamTypes()), results: string(def.ResultTypes())}
		list = append(list, wasiFunction{name: name, signature: s, call: guarded(name, f)})
	}
	slices.SortFunc(list, func(a, b wasiFunction) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// guarded puts around a WASI function what wazero's lacks.
func guarded(name string, f api.GoModuleFunction) api.GoModuleFunc {
	return func(ctx context.Context, module api.Module, stack []uint64) {
		s := stateOf(ctx)
		s.checkTime()
		if errno := outOfBounds(name, stack); errno != 0 {
			stack[0] = uint64(errno)
			return
		}
		defer func() {
			switch r := recover(); r.(type) {
			case nil:
			case *sys.ExitError:
				panic(r)
			default:
				panic(&hostPanic{doing: name, value: r, stack: debug.Stack()})
			}
		}()
		s.errno = 0
		f.Call(ctx, module, stack)
		if len(stack) == 0 || uint32(stack[0]) == errnoSuccess {
			return
		}
		switch errno := uint32(stack[0]); {
		case s.errno != 0:
			stack[0] = uint64(s.errno)
		case errno == errnoNosys && (name == "path_rename" || name == "path_link"):
			// The one case where wazero says so: the two names are in
			// different mounts.
			s.pending = &pending{err: abi.Errorf(abi.CodeInvalidArgument, "a file cannot be moved from one mount to another").
				WithHint("copy it, and remove the old one")}
			stack[0] = uint64(errnoXdev)
		case errno == errnoPerm && strings.HasPrefix(name, "path_"):
			s.pending = &pending{err: abi.Errorf(abi.CodeInvalidArgument, "the path is absolute, leads out of its mount or isn't UTF-8")}
		case strings.HasPrefix(name, "path_"):
			s.pending = nil // what is pending is not the reason
		}
	}
}

// outOfBounds refuses calls whose cost no other bound holds.
func outOfBounds(name string, params []uint64) uint32 {
	switch {
	case name == "poll_oneoff" && uint32(params[2]) > maxSubscriptions:
		return errnoInval
	case name == "fd_renumber" && int32(params[1]) > maxDescriptor:
		return errnoBadf
	}
	return 0
}
