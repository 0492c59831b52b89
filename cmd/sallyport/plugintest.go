package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/replay"
)

// callsDir is where a plugin's folder has its cases.
const callsDir = "testdata/calls"

func newPluginTest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "run a plugin's Go tests, and play the calls of its tools that were recorded",
		Long: `Test runs the Go tests of the plugin in DIR (default: here) natively, against the
SDK's fake host. Then it builds the plugin, as "plugin build" does, and makes the
calls in DIR/testdata/calls with the .wasm in the engine that hosts run plugins
in: each starts in a fresh sandbox, and whatever the plugin asks the host for is
answered with what was recorded. That needs no Python, no network and no other
plugin, and the clock and random numbers are the same each time. A call fails
where the plugin asks for something else, or ends with another result, other
files or other prints; the trace shows where.

A case is a file NAME.txtar that people write and read:

  What it shows, in words.

  -- case --
  tool: run
  fix: kernel.execute /duration_ms 0
  -- arguments --
  {"code": "print(open('upload/a.txt').read())"}
  -- upload/a.txt --
  A file that is there before the call.

--record makes the calls in a host of their own, in a temporary folder, and
writes below that what came of them. The plugin is granted all that it asks for;
hosts have to be named with --host, and secrets aren't added. What differs from
run to run and doesn't matter, such as a duration, is given a value by a line
fix: that names an operation, a place in its response (a JSON pointer) and the
value. Nothing else is changed. seed: and time: choose other random numbers and
another time than the usual. A recording is stale once its case was changed, and
then it fails until it is recorded again.

Secrets are added by the host after the point that is recorded, and masked in
what comes back before it: they are in no recording, unless a plugin is told one
and passes it on. Look through a recording before you publish it all the same:
it holds what servers and files said.`,
		Example: `  sallyport plugin test --new first --tool greet --arguments '{"name": "Ada"}'
  sallyport plugin test
  sallyport plugin test plugins/python --run sum -v
  sallyport plugin test plugins/python --record --run sum --python .venv/bin/python
  sallyport plugin test --wasm build/probe.wasm`,
		Args: atMostOne,
	}
	t := &tester{}
	f := cmd.Flags()
	f.StringVar(&t.run, "run", "", "play only cases whose name matches this regular expression, and leave the Go tests out")
	f.BoolVarP(&t.verbose, "verbose", "v", false, "show the trace of every call, and each Go test")
	f.BoolVar(&t.record, "record", false, "make the calls in a real host and write down what comes of them; with --run only those")
	f.StringVar(&t.name, "new", "", "record a new case of this name, from --tool, --arguments and --fix")
	f.StringVar(&t.tool, "tool", "", "of the new case: the tool, without the plugin's name (default: the plugin's only one)")
	f.StringVar(&t.arguments, "arguments", "", "of the new case: the arguments, a JSON object")
	f.StringArrayVar(&t.fixes, "fix", nil, "of the new case: what to give a value, such as 'kernel.execute /duration_ms 0'; may be repeated")
	f.StringArrayVar(&t.hosts, "host", nil, "host that may be reached over HTTP while recording: a name, *.example.com, an address, or '*' for any; may be repeated")
	f.StringArrayVar(&t.with, "with", nil, ".wasm file of another plugin whose tools are called while recording; may be repeated")
	f.StringVar(&t.wasm, "wasm", "", "play with this file rather than build one, and leave the Go tests out")
	addSettings(cmd, "python", "isolation", "bubblewrap", "cache_dir", "ca_file")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if strings.HasSuffix(err.Error(), "in -run") {
			err = abi.Errorf(abi.CodeInvalidArgument, "%v", err).WithHint("write --run")
		}
		return usageError{err}
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		t.dir, t.config = cmp.Or(strings.Join(args, ""), "."), cfg
		t.out, t.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
		if err := t.check(cmd); err != nil {
			return err
		}
		return t.test(cmd.Context())
	}
	return cmd
}

// A tester carries out one plugin test.
type tester struct {
	dir       string
	run       string
	verbose   bool
	record    bool
	name      string // of a new case
	tool      string
	arguments string
	fixes     []string
	hosts     []string
	with      []string
	wasm      string
	config    Config
	out, err  io.Writer

	match *regexp.Regexp
}

// caseName is what a new case may be called.
var caseName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// check refuses flags that don't go together.
func (t *tester) check(cmd *cobra.Command) (err error) {
	given := func(names ...string) (first string) {
		for _, name := range names {
			if cmd.Flags().Changed(name) {
				return "--" + name
			}
		}
		return ""
	}
	if t.match, err = regexp.Compile(t.run); err != nil {
		return usageError{fmt.Errorf("--run: %w", err)}
	}
	switch {
	case given("new") != "" && !caseName.MatchString(t.name):
		return usageError{fmt.Errorf("--new is %q: use letters, digits, dashes, dots and underscores", t.name)}
	case t.name != "" && given("run") != "":
		return usageError{errors.New("--new and --run exclude each other: a new case is the only one that is recorded")}
	case t.name == "" && given("tool", "arguments", "fix") != "":
		return usageError{fmt.Errorf("%s is of a new case: name it with --new", given("tool", "arguments", "fix"))}
	case t.name == "" && !t.record && given("host", "with") != "":
		return usageError{fmt.Errorf("%s is for recording: say --record or --new as well", given("host", "with"))}
	}
	return nil
}

func (t *tester) test(ctx context.Context) (err error) {
	if t.run == "" && !t.record && t.name == "" && t.wasm == "" {
		if err := t.goTest(ctx); err != nil {
			return err
		}
	}
	a, err := t.artifact(ctx)
	if err != nil {
		return err
	}
	files, err := t.cases(a)
	if err != nil {
		return err
	}
	if t.config.CacheDir == "" { // the plugin is compiled once all the same
		if t.config.CacheDir, err = os.MkdirTemp("", "sallyport-cache-"); err != nil {
			return abi.Errorf(abi.CodeUnavailable, "no temporary folder to compile in: %w", err)
		}
		defer os.RemoveAll(t.config.CacheDir)
	}
	recorder, err := t.recorder(ctx, a)
	if err != nil {
		return err
	}
	if recorder != nil {
		defer func() { err = errors.Join(err, t.close(ctx, recorder)) }()
	}
	player, err := host.NewReplayer(ctx, host.ReplayConfig{Plugin: a, CacheDir: t.config.CacheDir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx, player)) }()
	return t.play(ctx, files, recorder, player)
}

// close ends a host or a player, also after an interrupt.
func (t *tester) close(ctx context.Context, c interface{ Close(context.Context) error }) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return c.Close(ctx)
}

// goTest runs the author's Go tests, natively.
func (t *tester) goTest(ctx context.Context) error {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return abi.Errorf(abi.CodeUnavailable, "there is no go command to test %s with", t.dir).
			WithHint("install Go from https://go.dev/dl; or name a built plugin with --wasm, to play its recorded calls alone")
	}
	if _, err := os.Stat(filepath.Join(t.dir, plugin.SourceFile)); err != nil {
		_, err := plugin.ReadSource(filepath.Join(t.dir, plugin.SourceFile)) // says what is wrong, and what to do
		return err
	}
	args := []string{"test", "./..."}
	if t.verbose {
		args = []string{"test", "-v", "./..."}
	}
	cmd := exec.CommandContext(ctx, goCommand, args...)
	cmd.Dir = t.dir
	cmd.Env = append(cmd.Environ(), "GOOS=", "GOARCH=") // this machine's
	cmd.Stdout, cmd.Stderr = t.out, t.err
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return abi.Errorf(abi.CodePluginFailed, "the Go tests of %s fail", t.dir).
			WithHint("go test says where; the recorded calls were not played").WithCause(err)
	}
	return nil
}

// artifact builds the plugin, or reads the one that was named.
func (t *tester) artifact(ctx context.Context) (*plugin.Artifact, error) {
	if t.wasm != "" {
		return plugin.Read(t.wasm)
	}
	dir, err := os.MkdirTemp("", "sallyport-test-")
	if err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "no temporary folder to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	return plugin.Build(ctx, plugin.BuildConfig{
		Dir: t.dir, Output: filepath.Join(dir, "plugin.wasm"), Describe: host.Describe, Stderr: t.err,
	})
}

// A caseFile is a case and its file.
type caseFile struct {
	name, path string
	old        []byte       // nil of a new one
	read       *replay.Case // nil where it can't be read
	err        error        // why
}

// cases reads the cases that were chosen, in the order of their names.
func (t *tester) cases(a *plugin.Artifact) ([]caseFile, error) {
	dir := filepath.Join(t.dir, filepath.FromSlash(callsDir))
	if t.name != "" {
		f, err := t.newCase(dir, a)
		return []caseFile{f}, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"+replay.Suffix))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, abi.Errorf(abi.CodeNotFound, "%s has no recorded calls", filepath.ToSlash(dir)).
			WithHint("record the first: %s %s", t.command(), firstCall(a))
	}
	var files []caseFile
	var names []string
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), replay.Suffix)
		names = append(names, name)
		if !t.match.MatchString(name) {
			continue
		}
		f := caseFile{name: name, path: path}
		if f.old, f.err = os.ReadFile(path); f.err == nil {
			f.read, f.err = replay.Parse(f.old)
		}
		if f.err != nil {
			f.err = inFile(path, f.err)
		} else {
			f.read.Name = name
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, abi.Errorf(abi.CodeNotFound, "no case's name matches %s", t.run).
			WithHint("there are %s", strings.Join(names, ", "))
	}
	return files, nil
}

// inFile puts the file's name before the line that an error starts with.
func inFile(path string, err error) error {
	e := *abi.AsError(err)
	e.Message = filepath.ToSlash(path) + ":" + e.Message
	return &e
}

// command is the beginning of a command line for the same plugin.
func (t *tester) command() string {
	text := "sallyport plugin test"
	if t.dir != "." {
		text += " " + t.dir
	}
	if t.wasm != "" {
		text += " --wasm " + t.wasm
	}
	return text
}

// firstCall is the end of a command that records a call of a plugin's first
// tool.
func firstCall(a *plugin.Artifact) string {
	tool := a.Manifest.Tools[0]
	var schema struct {
		Required   []string
		Properties map[string]struct{ Type any }
	}
	arguments := map[string]any{}
	if json.Unmarshal(tool.InputSchema, &schema) == nil {
		examples := map[any]any{"string": "…", "integer": 1, "number": 1, "boolean": true, "array": []any{}, "object": map[string]any{}}
		for _, name := range schema.Required {
			arguments[name] = "…"
			if kind, ok := schema.Properties[name].Type.(string); ok && examples[kind] != nil {
				arguments[name] = examples[kind]
			}
		}
	}
	text, err := json.Marshal(arguments)
	if err != nil {
		text = []byte("{}")
	}
	return fmt.Sprintf("--new first --tool %s --arguments '%s'", tool.Name, text)
}

// newCase makes the case that the flags describe.
func (t *tester) newCase(dir string, a *plugin.Artifact) (caseFile, error) {
	f := caseFile{name: t.name, path: filepath.Join(dir, t.name+replay.Suffix)}
	if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
		return f, abi.Errorf(abi.CodeAlreadyExists, "%s is there already", filepath.ToSlash(f.path)).
			WithHint("record it again with --record --run '^%s$', or choose another name", t.name)
	}
	if t.tool == "" {
		if len(a.Manifest.Tools) > 1 {
			return f, usageError{errors.New("the plugin has several tools: choose one with --tool")}
		}
		t.tool = a.Manifest.Tools[0].Name
	}
	tool := strings.TrimPrefix(t.tool, abi.FullName(a.Manifest.Name, ""))
	var text strings.Builder
	fmt.Fprintf(&text, "-- case --\ntool: %s\n", tool)
	for _, fix := range t.fixes {
		fmt.Fprintf(&text, "fix: %s\n", fix)
	}
	fmt.Fprintf(&text, "-- arguments --\n%s\n", cmp.Or(strings.TrimSpace(t.arguments), "{}"))
	c, err := replay.Parse([]byte(text.String()))
	if err != nil {
		e := *abi.AsError(err)
		_, e.Message, _ = strings.Cut(e.Message, ": ") // the line is of no file
		return f, usageError{&e}
	}
	c.Name, f.read = t.name, c
	return f, nil
}

// recorder starts a host to record in, where that was asked for.
func (t *tester) recorder(ctx context.Context, a *plugin.Artifact) (*host.Recorder, error) {
	if !t.record && t.name == "" {
		return nil, nil
	}
	var others []*plugin.Artifact
	for _, path := range t.with {
		other, err := plugin.Read(path)
		if err != nil {
			return nil, err
		}
		others = append(others, other)
	}
	if h := a.Manifest.Capabilities.HTTP; h != nil && len(t.hosts) == 0 && slices.ContainsFunc(h.Allow, func(r abi.HTTPRule) bool { return slices.Contains(r.Hosts, abi.AnyHost) }) {
		fmt.Fprintln(t.err, "sallyport: note: the plugin reaches no host while it is recorded: name those that it may with --host")
	}
	log := hclog.New(&hclog.LoggerOptions{Name: "sallyport", Level: hclog.Error, Output: t.err})
	return host.NewRecorder(ctx, host.RecordConfig{Plugin: a, Others: others, Hosts: t.hosts, Host: t.config.host(log)})
}

// play records cases, where there is a recorder, and plays them.
func (t *tester) play(ctx context.Context, files []caseFile, recorder *host.Recorder, player *host.Replayer) error {
	var failed []string
	changed := false // some that failed can be recorded
	for _, f := range files {
		did := "ok"
		err := f.err
		if err == nil && recorder != nil {
			did, err = t.recordCase(ctx, f, recorder)
		}
		if err == nil {
			err = player.Replay(ctx, f.read)
			if m := (*replay.Mismatch)(nil); recorder != nil && errors.As(err, &m) {
				m.What = "a moment after it was recorded, " + m.What
			}
		}
		if ctx.Err() != nil {
			return abi.Errorf(abi.CodeCanceled, "interrupted")
		}
		if err != nil {
			failed = append(failed, f.name)
			changed = changed || f.err == nil && abi.CodeOf(err) != abi.CodeNotFound
			fmt.Fprintf(t.out, "FAIL  %s\n%s", f.name, indented(t.why(err)))
			continue
		}
		fmt.Fprintf(t.out, "%-5s %s (%s)\n", did, f.name, counted(len(f.read.Recording.Calls), "operation"))
		if t.verbose {
			fmt.Fprint(t.out, indented(replay.Trace(f.read.Recording.Calls)))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	err := abi.Errorf(abi.CodePluginFailed, "%d of %s failed", len(failed), counted(len(files), "case"))
	if changed && recorder == nil {
		err = err.WithHint("where that is meant, record what it does now: %s --record --run '^(%s)$'", t.command(), strings.Join(failed, "|"))
	}
	return err
}

// recordCase records a case, writes its file and says what became of it.
func (t *tester) recordCase(ctx context.Context, f caseFile, recorder *host.Recorder) (string, error) {
	rec, err := recorder.Record(ctx, f.read)
	if err != nil {
		return "", err
	}
	f.read.Recording = rec
	text := f.read.Format()
	switch {
	case bytes.Equal(text, f.old):
		return "same", nil
	case f.old == nil:
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return "", abi.Errorf(abi.CodeUnavailable, "the case can't be written: %w", err)
		}
	}
	next := f.path + ".new"
	if err := os.WriteFile(next, text, 0o644); err != nil {
		return "", abi.Errorf(abi.CodeUnavailable, "the case can't be written: %w", err)
	}
	if err := os.Rename(next, f.path); err != nil {
		return "", abi.Errorf(abi.CodeUnavailable, "the case can't be written: %w", err)
	}
	return "wrote", nil
}

// why tells what failed: the trace of a difference, or an error and its hint.
func (t *tester) why(err error) string {
	if m := (*replay.Mismatch)(nil); errors.As(err, &m) {
		return m.Trace()
	}
	text := printable(message(err)) + "\n"
	if hint := hintOf(err); hint != "" {
		text += printable(hint) + "\n"
	}
	return text
}

// indented puts lines below a case's.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("      " + line)
	}
	return b.String()
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
