package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// An instance is a module in its sandbox. One goroutine uses it at a time,
// between bind and the end of its run.
type instance struct {
	image  *image // what it began as
	limits abi.Limits
	tables int64 // elements that its tables began with

	module api.Module
	memory *memory
	mounts []*mount

	exports [3]api.Function // by place in exportNames, looked up once: that allocates
	stack   [2]uint64       // parameters and results of an export

	// The meter's globals, nil when there is none.
	fuel, depth, room, refused api.MutableGlobal
	globals                    []api.MutableGlobal // the module's own

	arena, arenaSize uint32
	clock            int64  // what the guest's monotonic clock showed when the run began
	state            *state // of the run under way
}

// The exports that are entered.
const (
	exportArena = iota
	exportDescribe
	exportCall
)

var exportNames = [...]string{abi.ExportArena, abi.ExportDescribe, abi.ExportCall}

// instantiate makes an instance of img. Nothing of the guest's runs in it: what
// img was made of has run, or hasn't.
func (p *product) instantiate(ctx context.Context, img *image, limits abi.Limits) (_ *instance, err error) {
	memory, err := img.newMemory(memoryLimit(limits.MemoryMiB))
	if err != nil {
		e := overLimit(abi.CodeResourceExhausted, "memory_mib", "%s", err)
		return nil, e.WithHint("raise limits.memory_mib")
	}
	i := &instance{image: img, limits: limits, tables: p.tables, memory: memory}
	files := wazero.NewFSConfig()
	for _, path := range abi.Mounts() {
		m := &mount{path: path}
		i.mounts = append(i.mounts, m)
		files = files.(sysfs.FSConfig).WithSysFSMount(m, m.path)
	}
	config := wazero.NewModuleConfig().
		WithName("").
		WithStartFunctions().
		WithFSConfig(files).
		WithStdout(printed{i}).
		WithStderr(printed{i}).
		WithRandSource(drawn{i}).
		WithWalltime(i.walltime, 1).
		WithNanotime(i.nanotime, 1).
		WithNanosleep(func(ns int64) { i.state.sleep(ns) })
	defer func() {
		if err != nil {
			i.discard()
			memory.release()
		}
	}()
	i.module, err = p.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, memory), p.compiled, config)
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w", err)
	}
	if more := img.size/wasmPage - memory.size/wasmPage; more > 0 {
		if _, ok := i.module.Memory().Grow(uint32(more)); !ok {
			return nil, fmt.Errorf("instantiate: the memory doesn't grow to its %d bytes", img.size)
		}
	}
	for k, name := range exportNames {
		if i.exports[k] = i.module.ExportedFunction(name); i.exports[k] == nil {
			return nil, fmt.Errorf("instantiate: the export %s is gone", name)
		}
	}
	global := func(name string) (g api.MutableGlobal) {
		if g, _ = i.module.ExportedGlobal(name).(api.MutableGlobal); g == nil {
			err = fmt.Errorf("instantiate: the global %s is gone", name)
		}
		return g
	}
	if p.metered {
		i.fuel, i.depth = global(wasm.ExportFuel), global(wasm.ExportDepth)
		i.room, i.refused = global(wasm.ExportTables), global(wasm.ExportRefused)
	}
	for _, name := range p.globals {
		i.globals = append(i.globals, global(name))
	}
	if err != nil {
		return nil, err
	}
	i.restore()
	return i, nil
}

// restore sets the globals, and what the host knows of the guest, to the
// image's.
func (i *instance) restore() {
	i.arena, i.arenaSize, i.clock = i.image.arena, i.image.arenaSize, i.image.clock
	i.memory.refused = false
	for k, g := range i.globals {
		g.Set(i.image.globals[k])
	}
	if i.room != nil {
		i.room.Set(uint64(int64(i.limits.TableElements) - i.tables))
		i.refused.Set(0)
	}
}

// bind makes s the run that the instance serves. The mounts are shut until
// they are given.
func (i *instance) bind(s *state) {
	i.state = s
	for _, m := range i.mounts {
		m.state, m.fs, m.denied = s, nil, nil
	}
}

// mount puts what a call brings in its place in the table, which is always the
// same.
func (i *instance) mount(mounts []Mount) error {
	for k, m := range mounts {
		at := slices.IndexFunc(i.mounts, func(o *mount) bool { return o.path == m.Path })
		if at < 0 {
			return abi.Errorf(abi.CodeInvalidArgument, "%q is not a mount point: use one of %s", m.Path, strings.Join(abi.Mounts(), " "))
		}
		if slices.ContainsFunc(mounts[:k], func(o Mount) bool { return o.Path == m.Path }) {
			return abi.Errorf(abi.CodeInvalidArgument, "two mounts at %s", m.Path)
		}
		i.mounts[at].fs, i.mounts[at].denied = m.FS, m.Denied
	}
	for _, m := range i.mounts {
		if m.fs == nil && m.denied == nil {
			m.denied = abi.Errorf(abi.CodePermissionDenied, "there is no access to %s", m.path)
		}
	}
	return nil
}

// reset puts the instance back to its image, and says whether it may serve
// another call. What the guest could have changed is its memory, its globals,
// and its descriptors; one that grew, holds something open or did anything
// else that stays isn't used again.
func (i *instance) reset() bool {
	s := i.state
	if i.memory.grew() || len(s.open) > 0 || s.altered || i.module.IsClosed() {
		return false
	}
	if err := i.memory.reset(); err != nil {
		s.log.Warn("a sandbox could not be reset, and is thrown away", "error", err)
		return false
	}
	i.restore()
	i.state = nil
	return true
}

// discard ends the instance and everything it holds, in whatever state it is.
func (i *instance) discard() {
	if i.state != nil {
		i.state.closeFiles()
	}
	if i.module != nil {
		_ = i.module.Close(context.Background()) // frees the memory
	}
}

// start gives the guest its whole stack and a slice of fuel. It has to come
// before every entry from outside.
func (i *instance) start() {
	s := i.state
	s.entered = time.Now()
	if i.fuel != nil {
		i.fuel.Set(uint64(s.refill()))
		i.depth.Set(uint64(i.limits.StackKiB) << 10)
	}
}

// stop settles what the guest has used since start or its last checkpoint, and
// fails when that was more than it had.
func (i *instance) stop() (err error) {
	s := i.state
	s.guest += time.Since(s.entered)
	if i.fuel == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = r.(*limitReached) // that alone is thrown
		}
	}()
	s.settle(int64(i.fuel.Get()))
	return nil
}

// enter calls an export.
func (i *instance) enter(ctx context.Context, export int, params ...uint64) (uint64, error) {
	copy(i.stack[:], params)
	i.start()
	err := i.exports[export].CallWithStack(ctx, i.stack[:])
	if over := i.stop(); err == nil {
		err = over
	}
	if err != nil {
		return 0, inExport{exportNames[export], err}
	}
	return i.stack[0], nil
}

// initialize runs _initialize, where the module has one, with nothing open to
// it.
func (i *instance) initialize(ctx context.Context) error {
	start := i.module.ExportedFunction(abi.ExportInitialize)
	if start == nil {
		return nil
	}
	s, shut := i.state, i.state.shut
	s.shut = abi.Errorf(abi.CodeFailedPrecondition, "nothing of the host's can be used in %s", abi.ExportInitialize).
		WithHint("do it when a tool is called")
	i.start()
	err := start.CallWithStack(ctx, nil)
	if over := i.stop(); err == nil {
		err = over
	}
	if err != nil {
		return inExport{abi.ExportInitialize, err}
	}
	s.shut = shut
	return nil
}

// call puts the request into the arena and enters the guest once, twice where
// it has to make a larger arena first.
func (i *instance) call(ctx context.Context, tool uint32, request []byte) ([]byte, error) {
	n := uint32(len(request))
	if i.arenaSize == 0 || n > i.arenaSize {
		arena, err := i.enter(ctx, exportArena, uint64(n))
		if err != nil {
			return nil, err
		}
		i.arena, i.arenaSize = uint32(arena), n
	}
	if !i.module.Memory().Write(i.arena, request) {
		return nil, garbage("the plugin gave an arena of %d bytes at %d, outside its memory of %d", n, i.arena, i.memory.size)
	}
	return i.ask(ctx, exportCall, uint64(tool), uint64(n))
}

// ask calls an export that answers with a place in memory, and copies what is
// there.
func (i *instance) ask(ctx context.Context, export int, params ...uint64) ([]byte, error) {
	result, err := i.enter(ctx, export, params...)
	if err != nil {
		return nil, err
	}
	ptr, n := abi.Unpack(result)
	if n > abi.MaxFrameBytes {
		return nil, garbage("the plugin answered with %d bytes, the bound is %d", n, abi.MaxFrameBytes)
	}
	if most := i.limits.OutputBytes; int64(n) > most {
		return nil, &limitReached{overLimit(abi.CodeResourceExhausted, "output_bytes",
			"the plugin answered with %d bytes, more than its limit of %d bytes", n, most)}
	}
	view, ok := i.module.Memory().Read(ptr, n)
	if !ok {
		return nil, garbage("the plugin answered with %d bytes at %d, outside its memory of %d", n, ptr, i.memory.size)
	}
	return slices.Clone(view), nil
}

// tableElements is how many elements the tables have.
func (i *instance) tableElements() int64 {
	if i.room == nil {
		return i.tables
	}
	return int64(i.limits.TableElements) - int64(i.room.Get())
}

// nanotime is the guest's monotonic clock. It goes on from where it was when
// the image was made, or the session's last call ended, so that for the guest no
// time has passed but that of its calls.
func (i *instance) nanotime() int64 {
	s := i.state
	if s.clock != nil {
		return s.clock().UnixNano()
	}
	return i.clock + int64(time.Since(s.started))
}

func (i *instance) walltime() (int64, int32) {
	t := i.state.now()
	return t.Unix(), int32(t.Nanosecond())
}

// printed is a guest's stdout and stderr: the output of the run under way.
type printed struct{ *instance }

func (p printed) Write(b []byte) (int, error) {
	s := p.state
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	s.budget.takeHostBytes(len(b))
	return s.out.Write(b)
}

// drawn is a guest's source of random bytes.
type drawn struct{ *instance }

func (d drawn) Read(p []byte) (int, error) { return d.state.draw(p) }
