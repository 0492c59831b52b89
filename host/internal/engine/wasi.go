package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// Bounds on single WASI calls, which no deadline reaches while they run.
const (
	maxSubscriptions = 1024 // of poll_oneoff
	maxDescriptor    = 1023 // that fd_renumber may choose: the runtime's table grows up to it
	maxVectors       = 1024 // of one read or write
)

// lastDescriptor is that of the last mount: what is up to it is there when a
// call begins.
var lastDescriptor = uint32(2 + len(abi.Mounts()))

// harmless are the functions that leave a descriptor as it was.
var harmless = []string{
	"fd_datasync", "fd_fdstat_get", "fd_filestat_get", "fd_prestat_dir_name", "fd_prestat_get", "fd_read", "fd_sync", "fd_tell", "fd_write",
}

// alters says whether a function changes a descriptor that the next call of a
// reset instance would find changed.
func alters(name string, params []uint64) bool {
	switch {
	case name == "fd_renumber", strings.HasPrefix(name, "sock_"):
		return true
	case strings.HasPrefix(name, "fd_"):
		return uint32(params[0]) <= lastDescriptor && !slices.Contains(harmless, name)
	}
	return false
}

// ofStdio says whether a function sets the flags of stdin, stdout or stderr, as
// Go does when it is initialised. They mean nothing to what stands there, so a
// snapshot needn't keep them.
func ofStdio(name string, params []uint64) bool {
	return name == "fd_fdstat_set_flags" && uint32(params[0]) <= 2
}

// A wasiFunction is one of wazero's WASI functions, with ours around it.
type wasiFunction struct {
	name      string
	signature wasm.Signature
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
		s := wasm.Signature{Params: string(def.ParamTypes()), Results: string(def.ResultTypes())}
		list = append(list, wasiFunction{name: name, signature: s, call: guarded(name, f)})
	}
	slices.SortFunc(list, func(a, b wasiFunction) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// guarded puts around a WASI function what wazero's lacks.
func guarded(name string, f api.GoModuleFunction) api.GoModuleFunc {
	return func(ctx context.Context, module api.Module, stack []uint64) {
		s := stateOf(ctx)
		s.enterHost()
		defer s.leaveHost()
		if errno := outOfBounds(name, stack); errno != 0 {
			if errno == errnoNametoolong {
				s.pending = &pending{err: abi.Errorf(abi.CodeInvalidArgument, "the path has more than %d bytes", maxPath)}
			}
			stack[0] = uint64(errno)
			return
		}
		defer func() {
			switch r := recover(); r.(type) {
			case nil:
			case *sys.ExitError, *limitReached:
				panic(r)
			default:
				panic(&hostPanic{doing: name, value: r, stack: debug.Stack()})
			}
		}()
		s.errno = 0
		s.altered = s.altered || alters(name, stack) && !(s.shut != nil && ofStdio(name, stack))
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
	case slices.ContainsFunc(pathLengths[name], func(at int) bool { return uint32(params[at]) > maxPath }):
		return errnoNametoolong
	case name == "fd_filestat_set_times" && uint32(params[0]) <= 2:
		return errnoBadf // the runtime has no file there, and no check for that
	case vectored(name) && uint32(params[2]) > maxVectors:
		return errnoInval
	case name == "fd_renumber" && int32(params[1]) > maxDescriptor:
		return errnoBadf
	}
	return 0
}

// pathLengths are the places of the parameters that say how long a path is,
// which the runtime copies and cleans before any mount sees it.
var pathLengths = map[string][]int{
	"path_create_directory":   {2},
	"path_filestat_get":       {3},
	"path_filestat_set_times": {3},
	"path_link":               {3, 6},
	"path_open":               {3},
	"path_readlink":           {2},
	"path_remove_directory":   {2},
	"path_rename":             {2, 5},
	"path_symlink":            {1, 4},
	"path_unlink_file":        {2},
}

// vectored says whether a function takes a list of buffers, whose number is
// its third parameter.
func vectored(name string) bool {
	switch name {
	case "fd_read", "fd_pread", "fd_write", "fd_pwrite":
		return true
	}
	return false
}
