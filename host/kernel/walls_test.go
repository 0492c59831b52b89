package kernel_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

func TestZonesAreAtTheSamePlacesForEveryKernel(t *testing.T) {
	t.Parallel()
	upload, output := zone(t, "upload"), zone(t, "output")
	upload.ReadOnly = true
	kept := filepath.Join(upload.Source, "kept")
	if err := os.WriteFile(kept, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	give(t, kept)
	k := newKernel(t, func(c *kernel.Config) { c.Views = []proc.View{upload, output} })
	expect(t, k, "import os; open('/output/a', 'w').write('x'); print(open('output/a').read())", "x\n")
	expect(t, k, "open('output/b', 'w').write('y'); print(open('/output/b').read())", "y\n")
	for name, want := range map[string]string{"a": "x", "b": "y"} {
		if got, err := os.ReadFile(filepath.Join(output.Source, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	// Each of these would change upload.
	for _, attempt := range []string{
		"open('/upload/kept', 'w')", "open('upload/kept', 'a')", "open('/upload/new', 'w')", "os.mkdir('/upload/new')",
		"os.remove('/upload/kept')", "os.rename('/upload/kept', '/upload/other')", "os.rename('/output/a', '/upload/kept')",
		"os.symlink('/output/a', '/upload/link')", "os.chmod('/upload/kept', 0o777)", "os.utime('/upload/kept')",
		"os.truncate('/upload/kept', 0)", "os.link('/upload/kept', '/upload/link')",
	} {
		expect(t, k, "import errno\ntry: "+attempt+"; print('done')\nexcept OSError as e: print(errno.errorcode[e.errno] in ('EROFS', 'EXDEV'))", "True\n")
	}
	expect(t, k, "print(open('/upload/kept').read(), os.listdir('/upload'))", "kept ['kept']\n")
}

func TestAKernelsOwnFoldersKeepClearOfOthers(t *testing.T) {
	t.Parallel()
	usual := func(place, other string) string {
		path, err := python()
		if err != nil {
			t.Fatal(err)
		}
		real, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(path, place+"/") || strings.HasPrefix(real, place+"/") {
			return other
		}
		return place
	}
	expect(t, newKernel(t, nil), "import os; print(os.getcwd(), os.listdir(), os.environ['HOME'], os.environ['TMPDIR'])", fmt.Sprintln(
		usual("/work", "/run/kernel/work"), "[]", usual("/home/sandbox", "/run/kernel/home"), usual("/tmp", "/run/kernel/tmp")))
	guest := zone(t, "guest")
	guest.Target, guest.Link = "/work/below/guest", ""
	k := newKernel(t, func(c *kernel.Config) { c.Views = []proc.View{guest} })
	expect(t, k, "import os; print(os.getcwd(), os.listdir(), os.listdir('/work/below'))", "/run/kernel/work [] ['guest']\n")
}

func TestNothingElseOfTheHostIsThere(t *testing.T) {
	t.Parallel()
	var dir string
	outside := t.TempDir() // as another session's
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("canary"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	read := "import os\ntry: print(open(%q).read())\nexcept OSError as e: print(type(e).__name__)"
	k := newKernel(t, func(c *kernel.Config) { dir = c.Dir })
	run(t, k, "1")
	inDir := filepath.Join(dir, "of-the-host")
	if err := os.WriteFile(inDir, []byte("canary"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{secret, inDir, filepath.Join(dir, "links.json"), "/etc/shadow", "/etc/hostname", fmt.Sprintf("/proc/%d/environ", os.Getpid())} {
		expect(t, k, fmt.Sprintf(read, path), "FileNotFoundError\n")
	}
	expect(t, k, "print(sorted(set(os.listdir('/')) & {'boot', 'sys', 'mnt', 'media'}), os.listdir('/home'))", "[] ['sandbox']\n")
	expect(t, k, "print(os.getuid(), os.getgid(), len([p for p in os.listdir('/proc') if p.isdigit()]) < 10)", "1000 1000 True\n")
	expect(t, k, "print([n for n in os.environ if any(s in n for s in ('SECRET', 'TOKEN', 'SSH', 'XDG', 'JPY', 'PROXY'))])", "[]\n")
	// The program's own files can be read, and nothing can be written to them.
	expect(t, k, "import sys, errno\nfor d in {sys.prefix, sys.base_prefix, '/usr', '/'}:\n try: open(d + '/new', 'w'); print(d)\n except OSError as e: assert e.errno in (errno.EROFS, errno.EACCES), e", "")

	// Without walls the same is read.
	bare := newKernel(t, func(c *kernel.Config) { liftWalls(t, c) })
	expect(t, bare, fmt.Sprintf(read, secret), "canary\n")
}

func TestAKernelReachesNoNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var reached atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	code := fmt.Sprintf("import socket\ntry: socket.create_connection(('127.0.0.1', %d), 5).recv(1); print('reached')\nexcept OSError as e: print('no')", l.Addr().(*net.TCPAddr).Port)
	expect(t, newKernel(t, nil), code, "no\n")
	if n := reached.Load(); n != 0 {
		t.Errorf("it was reached %d times", n)
	}
	expect(t, newKernel(t, func(c *kernel.Config) { liftWalls(t, c) }), code, "reached\n")
}

func TestTheGateIsAllOfAKernelsNetwork(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	gate := func(l net.Listener) {
		defer close(closed)
		http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Method, " ", r.URL)
		}))
	}
	k := newKernel(t, func(c *kernel.Config) { c.Gate = gate })
	expect(t, k, "import urllib.request as u; print(u.urlopen('http://host.example/x', timeout=20).read().decode())", "GET http://host.example/x\n")
	expect(t, k, "import os; print(*(repr(os.environ.get(n)) for n in ('HTTP_PROXY', 'https_proxy', 'NO_PROXY', 'ALL_PROXY')))", "'http://127.0.0.1:3128' 'http://127.0.0.1:3128' '' None\n")
	if err := k.Close(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "the gate's end", closed)

	bare := newKernel(t, func(c *kernel.Config) {
		liftWalls(t, c)
		c.Gate = func(net.Listener) { t.Error("a kernel without walls came to the gate") }
	})
	expect(t, bare, "import os; print(os.environ.get('HTTP_PROXY'))", "None\n")
}

func TestNothingInTheSocketsPlaceLeadsTheHostElsewhere(t *testing.T) {
	t.Parallel()
	// Another program's socket, that the host's account may connect to.
	other := filepath.Join(t.TempDir(), "other")
	l, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{})
	go func() {
		if conn, err := l.Accept(); err == nil {
			close(reached)
			conn.Close()
		}
	}()
	defer l.Close()
	for name, plant := range map[string]string{
		"a link to a socket":         `ln -s "$1" $2`,
		"a link to a link":           `ln -s "$1" l; mv l "${2%/*}"; ln -s l $2`,
		"a link to a folder's":       `ln -s "${1%/*}" d; mv d "${2%/*}"; ln -s d/other $2`,
		"a file":                     `echo >$2`,
		"a folder":                   `mkdir $2`,
		"a pipe":                     `mkfifo $2`,
		"a link to nothing":          `ln -s /nowhere $2`,
		"a link to the place itself": `ln -s "$2" $2`,
	} {
		for _, change := range []func(*kernel.Config){
			func(*kernel.Config) {},
			func(c *kernel.Config) { liftWalls(t, c) },
		} {
			k := newKernel(t, func(c *kernel.Config) {
				change(c)
				c.Language = "lies"
				c.Argv = []string{"/bin/sh", "-c", `dir=${0%/*}; for n in 1 2 3 4 5; do set -- "$1" $dir/k-$n; ` + plant + `; done; exec sleep 1000`, "{connection_file}", other}
			})
			begun := time.Now()
			_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "1"}, nil)
			e := code(t, err, abi.CodeUnavailable)
			if !strings.Contains(e.Error(), "none of its own") || time.Since(begun) > 20*time.Second {
				t.Errorf("%s: %v, after %v", name, e, time.Since(begun))
			}
		}
	}
	select {
	case <-reached:
		t.Error("the host connected to another program's socket")
	default:
	}
	conn, err := net.Dial("unix", other) // as it could have
	if err != nil {
		t.Fatal(err)
	}
	io.ReadAll(conn)
	conn.Close()
	within(t, "the other socket", reached)
}

func TestFoldersFollowTheKernelsAccount(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	kept := filepath.Join(outside, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := ownerOf(t, kept)
	at := func(change func(*kernel.Config)) *kernel.Kernel {
		return newKernel(t, func(c *kernel.Config) { c.Dir = dir; change(c) })
	}
	end := func(k *kernel.Kernel) {
		t.Helper()
		if err := k.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	bare := at(func(c *kernel.Config) { liftWalls(t, c) })
	expect(t, bare, fmt.Sprintf("import os; os.makedirs('d/e'); open('d/e/f', 'w').write('x'); os.chmod('d/e/f', 0o600); os.symlink(%q, 'out'); os.link(%q, 'linked')", kept, kept), "")
	end(bare)
	behind := at(func(*kernel.Config) {})
	expect(t, behind, "import os; print(open('d/e/f').read()); open('d/e/f', 'w').write('y'); open('d/new', 'w').close(); os.rename('d', 'moved')", "x\n")
	end(behind)
	again := at(func(c *kernel.Config) { liftWalls(t, c) })
	expect(t, again, "print(open('moved/e/f').read())", "y\n")
	end(again)
	if ownerOf(t, filepath.Join(dir, "work", "moved", "e", "f")) != uint32(os.Getuid()) {
		t.Error("without an account of its own, the kernel's files aren't the host's")
	}
	if got := ownerOf(t, kept); got != before {
		t.Errorf("a file outside belongs to %d by now", got)
	}
	for _, name := range []string{"", "links.json"} {
		if got := ownerOf(t, filepath.Join(dir, name)); got != uint32(os.Getuid()) {
			t.Errorf("the host's own %q belongs to %d", name, got)
		}
	}
}

func TestAKernelsOwnFoldersAreBounded(t *testing.T) {
	t.Parallel()
	k := newKernel(t, func(c *kernel.Config) { c.MaxBytes = 16 << 20 })
	full := `
import errno, time
end = time.monotonic() + 20
try:
    with open(%q, "wb") as f:
        while time.monotonic() < end: f.write(bytes(1 << 16)); f.flush(); time.sleep(0.001)
except OSError as e: print(errno.errorcode[e.errno])
`
	for _, path := range []string{"big", "/tmp/big", "/home/sandbox/big"} {
		expect(t, k, fmt.Sprintf(full, path), "EFBIG\n")
		expect(t, k, fmt.Sprintf("import os; os.remove(%q)", path), "")
		poll(t, "room", func() bool {
			r := run(t, k, "try: open('small', 'wb').write(bytes(10)); print('room')\nexcept OSError: pass")
			return printed(r, "stdout") == "room\n"
		})
	}
}

func TestAKernelThatOutgrowsItsMemorySaysSo(t *testing.T) {
	t.Parallel()
	k := newKernel(t, func(c *kernel.Config) { c.Limits.Memory = 256 << 20 })
	run(t, k, "kept = 1")
	_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "big = [bytearray(b'x') * (1 << 20) for _ in range(4096)]"}, nil)
	if e := code(t, err, abi.CodeStateLost); !strings.Contains(e.Message, "over its memory") {
		t.Error(e)
	}
	if r := run(t, k, "print('kept' in globals())"); printed(r, "stdout") != "False\n" || !strings.Contains(r.StateLost, "over its memory") {
		t.Errorf("%+v", r)
	}
}
