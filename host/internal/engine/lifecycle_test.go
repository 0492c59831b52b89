package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

func TestCallsRunSideBySide(t *testing.T) {
	p := probe(t, 0)
	const n = 8
	// Every call waits in its operation until all are there.
	var arrived sync.WaitGroup
	arrived.Add(n)
	meet := func(_ context.Context, _ string, frame []byte) ([]byte, error) {
		arrived.Done()
		arrived.Wait()
		return append([]byte("for "), frame...), nil
	}
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			me := fmt.Sprintf("call %d", i)
			r := newRootFS(t)
			c := r.output()
			c.Dispatch = meet
			results, _, err := tryAsk(t, t.Context(), p, c,
				step{Op: "keep", Data: me}, step{Op: "log", Data: me, At: 10}, step{Op: "keep"},
				step{Op: "write", Path: "/output/f", Data: me})
			if err != nil {
				t.Errorf("%s: %v", me, err)
				return
			}
			if want := fmt.Sprintf("%d %q", len("for "+me), "for "+me); results[1].Out != want || results[2].Out != me || r.get(t, "f") != me {
				t.Errorf("%s got %+v", me, results)
			}
		})
	}
	group.Wait()
}

func TestCloseWaitsForRunningCallsAndRefusesLaterOnes(t *testing.T) {
	e := newEngine(t, engine.Config{})
	g := newGuest()
	log := g.use(abi.ModuleCall, "log", i32+i32+i32+i32, i64)
	g.onCall(i32Const(0)+i32Const(0)+i32Const(0)+i32Const(0)+call(log)+drop+i64Const(0), 0)
	p := compile(t, e, g.encode(), engine.Options{})
	entered, release := make(chan struct{}), make(chan struct{})
	called := make(chan error, 1)
	go func() {
		_, err := p.Call(t.Context(), engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) {
			close(entered)
			<-release
			return nil, nil
		}})
		called <- err
	}()
	<-entered

	short, cancel := context.WithCancel(t.Context())
	cancel()
	refused(t, p.Close(short), abi.CodeCanceled, "running calls")
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	refused(t, p.Close(late), abi.CodeDeadlineExceeded, "running calls")
	_, err := p.Call(t.Context(), engine.Call{})
	refused(t, err, abi.CodeUnavailable, "closed")
	_, err = p.Describe(t.Context())
	refused(t, err, abi.CodeUnavailable, "closed")

	close(release)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-called; err != nil {
		t.Errorf("the running call came to %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestClosedEngineRefusesEverything(t *testing.T) {
	e := newEngine(t, engine.Config{})
	p := compile(t, e, newGuest().encode(), engine.Options{})
	for range 2 {
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := p.Call(t.Context(), engine.Call{})
	refused(t, err, abi.CodeUnavailable)
	_, err = e.Compile(t.Context(), newGuest().encode(), engine.Options{})
	refused(t, err, abi.CodeUnavailable, "engine is closed")
}

func TestPluginsOfOneModuleDontShareTheirEnd(t *testing.T) {
	e := newEngine(t, engine.Config{})
	a := compile(t, e, newGuest().encode(), engine.Options{})
	b := compile(t, e, newGuest().encode(), engine.Options{})
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	runtime.GC() // takes the code away that nobody holds
	runtime.GC()
	if answer, err := b.Call(t.Context(), engine.Call{Request: []byte("ping")}); err != nil || string(answer.Response) != "ping" {
		t.Errorf("the other answers %q, %v", answer.Response, err)
	}
}

func TestLimitsOfOneModulesPluginsAreTheirOwn(t *testing.T) {
	e := newEngine(t, engine.Config{})
	wasm := newGuest().onCall(answerWith(i32Const(31)+growMemory+extendS), 0).encode()
	for _, test := range []struct{ limit, want int }{{1, -1}, {2, 1}, {0, 1}} {
		p := compile(t, e, wasm, engine.Options{Limits: abi.Limits{MemoryMiB: test.limit}})
		answer, err := p.Call(t.Context(), engine.Call{})
		if err != nil || number(t, answer) != int64(test.want) {
			t.Errorf("with a limit of %d MiB growing gives %d, %v", test.limit, number(t, answer), err)
		}
	}
}

// large is a guest that takes a while to compile.
func large() []byte {
	g := newGuest()
	work := strings.Repeat(get(0)+i32Const(1)+add32+"\x21\x00", 200)
	for range 500 {
		g.funcs = append(g.funcs, function{params: i32, results: i32, code: work + get(0)})
	}
	return g.encode()
}

func TestConcurrentCompilationsOfOneModule(t *testing.T) {
	e := newEngine(t, engine.Config{CacheDir: t.TempDir()})
	wasm := large()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			p, err := e.Compile(t.Context(), wasm, engine.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if answer, err := p.Call(t.Context(), engine.Call{Request: []byte("ping")}); err != nil || string(answer.Response) != "ping" {
				t.Errorf("it answers %q, %v", answer.Response, err)
			}
		})
	}
	group.Wait()
}

func TestWaitingForACompilationEndsWithItsContext(t *testing.T) {
	e := newEngine(t, engine.Config{CacheDir: t.TempDir()})
	wasm := large()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			_, err := e.Compile(ctx, wasm, engine.Options{})
			errs <- err
		}()
	}
	for range cap(errs) {
		// Who comes first doesn't wait.
		if err := <-errs; err != nil {
			refused(t, err, abi.CodeCanceled, "another compilation")
		}
	}
	compile(t, e, wasm, engine.Options{})
}

func TestNothingLeaksFromCalls(t *testing.T) {
	p := probe(t, 0)
	r := newRootFS(t)
	r.put(t, "f", "f")
	trapping := plugin(t, newGuest().onCall(unreachable, 0))
	looping := plugin(t, newGuest().onCall(endless+i64Const(0), 0))
	round := func() {
		open := step{Op: "open", Path: "/output/f"}
		ask(t, p, r.output(), open, open, step{Op: "readdir", Path: "/output"})
		_, _, err := tryAsk(t, t.Context(), p, r.output(), open, step{Op: "exit", At: 1})
		refused(t, err, abi.CodePluginFailed)
		_, err = trapping.Call(t.Context(), engine.Call{})
		refused(t, err, abi.CodePluginFailed)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err = looping.Call(ctx, engine.Call{})
		refused(t, err, abi.CodeDeadlineExceeded)
	}
	round()
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 10 {
		round()
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "descriptors are closed", func() bool { return openFiles(t) <= files })
}

func openFiles(t testing.TB) int {
	t.Helper()
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if list, err := os.ReadDir(dir); err == nil {
			return len(list)
		}
	}
	t.Fatal("no folder lists the open files")
	return 0
}

func TestNothingLeaksFromEngines(t *testing.T) {
	round := func() {
		e, err := engine.New(engine.Config{CacheDir: filepath.Join(scratch, "cache")})
		if err != nil {
			t.Fatal(err)
		}
		compile(t, e, newGuest().encode(), engine.Options{})
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round()
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 5 {
		round()
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "descriptors are closed", func() bool { return openFiles(t) <= files })
}

func TestCacheFolderIsTheHostsAlone(t *testing.T) {
	for name, prepare := range map[string]func(string) error{
		"a new one":         func(string) error { return nil },
		"one that is there": func(dir string) error { return os.MkdirAll(dir, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "cache")
			if err := prepare(dir); err != nil {
				t.Fatal(err)
			}
			compile(t, newEngine(t, engine.Config{CacheDir: dir}), newGuest().encode(), engine.Options{})
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the folder has the mode %v, %v", info.Mode(), err)
			}
			if len(cacheEntries(t, dir)) == 0 {
				t.Error("nothing was kept")
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := engine.New(engine.Config{CacheDir: file})
	refused(t, err, abi.CodeUnavailable, "compilation cache", file)
}

func cacheEntries(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestManifestDoesntMatterToTheCache(t *testing.T) {
	dir := t.TempDir()
	for _, manifest := range []string{`{"version":"1"}`, `{"version":"2"}`} {
		g := newGuest()
		g.custom = map[string]string{abi.SectionManifest: manifest}
		compile(t, newEngine(t, engine.Config{CacheDir: dir}), g.encode(), engine.Options{})
	}
	if n := len(cacheEntries(t, dir)); n != 1 {
		t.Errorf("there are %d entries, want 1", n)
	}
}

// TestDamagedCacheEntryIsNoticedAndMadeAgain damages every file of an entry,
// the native code, the image and the rewritten module among them.
func TestDamagedCacheEntryIsNoticedAndMadeAgain(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"emptied": func(file string) error { return os.Truncate(file, 0) },
		"cut":     func(file string) error { return os.Truncate(file, 100) },
		"with a bit turned": func(file string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 0x10
			return os.WriteFile(file, b, 0o600)
		},
		"a folder": func(file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
		"gone":     os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			works := func() {
				t.Helper()
				p := compile(t, newEngine(t, engine.Config{CacheDir: dir}), newGuest().encode(), engine.Options{})
				if answer, err := p.Call(t.Context(), engine.Call{Request: []byte("ping")}); err != nil || string(answer.Response) != "ping" {
					t.Errorf("it answers %q, %v", answer.Response, err)
				}
			}
			works()
			files := entryFiles(t, dir)
			if len(files) != 6 {
				t.Fatalf("the entry has %q", files)
			}
			for _, file := range files {
				if err := damage(file); err != nil {
					t.Fatal(err)
				}
				works()
				if mended, err := os.ReadFile(file); err != nil || len(mended) == 0 {
					t.Errorf("%s was not made again: %d bytes, %v", file, len(mended), err)
				}
			}
			if list := cacheEntries(t, dir); len(list) != 1 {
				t.Errorf("there are %d entries, want a new one", len(list))
			}
		})
	}
}

// entryFiles lists the files of the one entry in a cache.
func entryFiles(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCacheThatCannotBeWrittenDoesntStopACompilation(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, engine.Config{CacheDir: dir})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p := compile(t, e, newGuest().encode(), engine.Options{})
	if answer, err := p.Call(t.Context(), engine.Call{Request: []byte("ping")}); err != nil || string(answer.Response) != "ping" {
		t.Errorf("it answers %q, %v", answer.Response, err)
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	for _, config := range []engine.Config{
		{MaxModuleBytes: -1}, {Limits: abi.Limits{MemoryMiB: -1}}, {Limits: abi.Limits{MemoryMiB: 4097}}, {DescribeTimeout: -1}, {OpenFiles: -1}, {OutputBytes: -1},
	} {
		_, err := engine.New(config)
		refused(t, err, abi.CodeInvalidArgument)
	}
}
