package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/replay"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// A ReplayConfig says what a Replayer plays.
type ReplayConfig struct {
	// Plugin is what runs. Required.
	Plugin *plugin.Artifact
	// CacheDir keeps native code, as Config.CacheDir does; "" keeps none.
	CacheDir string
	// Logger gets what the engine has to say; nil is none.
	Logger hclog.Logger
}

// A Replayer plays recorded calls of a plugin. The plugin runs as it does in a
// host, sandbox, limits and files included, and every operation is answered
// with what was recorded: nothing is started, and nothing is reached. Its
// methods are for one goroutine.
type Replayer struct {
	artifact *plugin.Artifact
	limits   abi.Limits
	engine   *engine.Engine
	code     *engine.Plugin
	dir      string
}

// NewReplayer compiles the plugin. Close must be called.
func NewReplayer(ctx context.Context, cfg ReplayConfig) (r *Replayer, err error) {
	r = &Replayer{artifact: cfg.Plugin, limits: mergeLimits(cfg.Plugin.Manifest.Limits, abi.Limits{}, defaultLimits())}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close(ctx))
		}
	}()
	if r.dir, err = os.MkdirTemp("", "sallyport-replay-"); err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "no temporary folder to play calls in: %w", err)
	}
	if r.engine, err = engine.New(engine.Config{Logger: cfg.Logger, CacheDir: codeDir(cfg.CacheDir)}); err != nil {
		return r, err
	}
	r.code, err = repeatable(ctx, r.engine, r.artifact, r.limits)
	return r, err
}

// codeDir is the folder of native code in a cache's; "" is none.
func codeDir(cache string) string {
	if cache == "" {
		return ""
	}
	return filepath.Join(cache, "code")
}

// repeatable compiles a plugin so that its calls can be made again as they were.
func repeatable(ctx context.Context, e *engine.Engine, a *plugin.Artifact, limits abi.Limits) (*engine.Plugin, error) {
	return e.Compile(ctx, a.Wasm, engine.Options{Modules: a.Modules(), Limits: limits, Plain: true})
}

// Close frees what the plugin took, until ctx ends.
func (r *Replayer) Close(ctx context.Context) error {
	var errs []error
	if r.code != nil {
		errs = append(errs, r.code.Close(ctx))
	}
	if r.engine != nil {
		errs = append(errs, r.engine.Close(ctx))
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// replayTime bounds a call that is played, whatever its deadline: nothing in it
// waits for anything, and a slow machine is no reason to fail.
const replayTime = 2 * time.Minute

// Replay makes the call of a case, and fails with a *replay.Mismatch where the
// plugin does something else than what was recorded. Other errors are
// *abi.Error: not_found where the plugin has no such tool, invalid_argument
// where the arguments don't fit it, and failed_precondition where the case was
// not recorded, or was changed since.
func (r *Replayer) Replay(ctx context.Context, c *replay.Case) (err error) {
	tool, err := callable(r.artifact, c)
	if err != nil {
		return err
	}
	switch {
	case c.Recording == nil:
		return abi.Errorf(abi.CodeFailedPrecondition, "it was not recorded yet")
	case c.Stale():
		return abi.Errorf(abi.CodeFailedPrecondition, "the case was changed after it was recorded")
	}
	dir, err := os.MkdirTemp(r.dir, "case-")
	if err != nil {
		return abi.Errorf(abi.CodeUnavailable, "no temporary folder for the workspace: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ws, err := workspace.Open(workspace.Config{Dir: filepath.Join(dir, "workspace")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ws.Close()) }()
	before, err := furnish(ws, c.Files)
	if err != nil {
		return err
	}
	tmp := &lazyScratch{dir: filepath.Join(dir, "tmp")}
	defer func() { err = errors.Join(err, tmp.remove()) }()
	mounts, err := r.mounts(ws, tmp)
	if err != nil {
		return err
	}
	call, err := repeated(c, engine.Call{Tool: uint32(tool), Mounts: mounts}, r.limits, func(string) {})
	if err != nil {
		return err
	}
	player := replay.NewPlayer(c.Recording, func(changes []replay.Change) error { return apply(ws, changes) })
	ctx, stop := context.WithTimeout(ctx, replayTime)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call.Dispatch = func(ctx context.Context, op string, frame []byte) ([]byte, error) {
		response, err := player.Dispatch(ctx, op, frame)
		if player.Mismatch() != nil {
			cancel() // what the plugin does about it doesn't matter
		}
		return response, err
	}
	answer, err := r.code.Call(ctx, call)
	if m := player.Mismatch(); m != nil {
		return m
	}
	var response abi.CallResponse
	if err == nil {
		response, err = abi.DecodeCallResponse(answer.Response)
	}
	if err != nil {
		return player.Failed(withStderr(err, answer.Stderr))
	}
	after, err := tree(ws)
	if err != nil {
		return err
	}
	if m := player.Finish(response, answer.Stderr, before.Changes(after)); m != nil {
		return m
	}
	return nil
}

// callable returns the number of a case's tool, and checks its arguments as a
// host does.
func callable(a *plugin.Artifact, c *replay.Case) (int, error) {
	tools := a.Manifest.Tools
	i := slices.IndexFunc(tools, func(t abi.Tool) bool { return t.Name == c.Tool })
	if i < 0 {
		names := make([]string, len(tools))
		for i, t := range tools {
			names[i] = t.Name
		}
		return 0, abi.Errorf(abi.CodeNotFound, "%s has no tool %s", a.Manifest.Name, c.Tool).
			WithHint("its tools are %s: correct the case, or remove its file", strings.Join(names, ", "))
	}
	return i, a.Validate(c.Tool, orNone(c.Arguments))
}

func orNone(arguments []byte) []byte {
	if len(arguments) == 0 {
		return []byte("{}")
	}
	return arguments
}

// repeated completes a call with what is the same each time that it is made:
// request, clock, random bytes, and how files look.
func repeated(c *replay.Case, call engine.Call, limits abi.Limits, touch func(path string)) (engine.Call, error) {
	request, err := abi.EncodeFrame(abi.CallRequest{
		Tool: c.Tool, Session: "replay", Call: "c-replay", Arguments: orNone(c.Arguments),
		DeadlineMS: time.Duration(limits.Deadline).Milliseconds(),
	}, nil)
	if err != nil {
		return call, err
	}
	clock := replay.NewClock(c.Start())
	call.Request = request
	call.Mounts = pinned(call.Mounts, c.Start(), touch)
	call.Clock, call.Sleep, call.Random = clock.Now, clock.Sleep, c.Random()
	return call, nil
}

// mounts are those that the plugin gets with all that it asks for.
func (r *Replayer) mounts(ws *workspace.Workspace, tmp engine.FS) ([]engine.Mount, error) {
	var mounts []engine.Mount
	for _, zone := range abi.Zones() {
		access := abi.AccessNone
		if f := r.artifact.Manifest.Capabilities.Files; f != nil {
			access = *f.Zone(zone)
		}
		if access == abi.AccessNone {
			mounts = append(mounts, engine.Mount{Path: "/" + zone, Denied: noZone(r.artifact.Manifest.Name, zone)})
			continue
		}
		view, err := ws.FS(zone, access)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, engine.Mount{Path: "/" + zone, FS: viewFS{view}})
	}
	skill := engine.Mount{Path: abi.MountSkill, Denied: noFiles(r.artifact.Manifest.Name)}
	if r.artifact.Files != nil {
		skill.FS, skill.Denied = engine.ReadOnly(r.artifact.Files), nil
	}
	return append(mounts, skill, engine.Mount{Path: abi.MountTmp, FS: tmp}), nil
}

// furnish puts a case's files into a workspace, and reads what is there then.
func furnish(ws *workspace.Workspace, files []replay.File) (replay.Tree, error) {
	for _, f := range files {
		if err := put(ws, f.Path, f.Data); err != nil {
			return nil, err
		}
	}
	return tree(ws)
}

func tree(ws *workspace.Workspace) (replay.Tree, error) {
	return replay.ReadTree(os.DirFS(filepath.Dir(ws.Path(abi.Zones()[0]))))
}

// inZone returns the zone of a path, with all access, and the name in it.
func inZone(ws *workspace.Workspace, path string) (*workspace.FS, string, error) {
	zone, name, _ := strings.Cut(path, "/")
	view, err := ws.FS(zone, abi.AccessWrite)
	return view, name, err
}

func put(ws *workspace.Workspace, path string, data []byte) error {
	view, name, err := inZone(ws, path)
	if err == nil {
		_, _, err = view.Put(name, bytes.NewReader(data), workspace.PutOptions{})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// apply makes changes in a workspace: what is removed goes first, the innermost
// of it before what it is in.
func apply(ws *workspace.Workspace, changes []replay.Change) error {
	for _, c := range slices.Backward(changes) {
		if !c.Removed {
			continue
		}
		view, name, err := inZone(ws, c.Path)
		if err != nil {
			return err
		}
		remove := view.Remove
		if strings.HasSuffix(name, "/") {
			remove = view.RemoveDir
		}
		if err := remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
	}
	for _, c := range changes {
		if c.Removed {
			continue
		}
		if !strings.HasSuffix(c.Path, "/") {
			if err := put(ws, c.Path, c.Data); err != nil {
				return err
			}
			continue
		}
		view, name, err := inZone(ws, c.Path)
		if err != nil {
			return err
		}
		if err := makeFolders(view, strings.TrimSuffix(name, "/")); err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
	}
	return nil
}

// makeFolders makes a folder and those it is in.
func makeFolders(view *workspace.FS, name string) error {
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		if err := view.Mkdir(name[:i], 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}
