// Demo plays an agent, and for a moment an operator, against a real host over
// HTTP, and checks what comes back. It knows of Sallyport only what an outsider
// does: the command line and the routes.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	sallyport := flag.String("sallyport", "build/sallyport", "the host's command")
	python := flag.String("python", ".venv/bin/python", "the kernels' Python")
	pictures := flag.String("pictures", "build/demo", "folder to keep the drawn chart in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := run(ctx, *sallyport, *python, *pictures); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
	fmt.Println("\nthe demo is complete: every step was checked")
}

// run sets a stage in a temporary folder, starts the host and plays every step.
func run(ctx context.Context, sallyport, python, pictures string) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	site := openSite()
	defer site.close()
	st := &stage{dir: dir, site: site}
	if st.sallyport, err = filepath.Abs(sallyport); err != nil {
		return err
	}
	if st.python, err = filepath.Abs(python); err != nil {
		return err
	}
	if err := st.set(ctx); err != nil {
		return err
	}
	host, err := st.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.stop()) }()
	agent, operator, err := st.tokens(ctx, host.url)
	if err != nil {
		return err
	}
	p := &play{agent: agent, operator: operator, pictures: pictures, site: site, secret: st.path("policy.yaml"), stage: st}
	for i, s := range p.steps() {
		fmt.Printf("\n%d. %s\n", i+1, s.title)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("step %d, %s: %w\nthe host's log ends with:\n%s", i+1, s.title, err, host.tail())
		}
	}
	return nil
}

// A stage is the folder in which the host runs: plugins, policy, data.
type stage struct {
	dir, sallyport, python string
	site                   *site
}

func (st *stage) path(name ...string) string {
	return filepath.Join(append([]string{st.dir}, name...)...)
}

// command runs sallyport and returns what it printed.
func (st *stage) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, st.sallyport, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("sallyport %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// set builds the plugins and writes the policy: files as it asks; python and
// http with one host of all that they ask for; badboy within narrow limits;
// ungranted without the kernel it asks for; echo as it was before its file changed; hello not at all.
func (st *stage) set(ctx context.Context) error {
	if err := os.Mkdir(st.path("plugins"), 0o700); err != nil {
		return err
	}
	wasm := func(name string) string { return st.path("plugins", name+".wasm") }
	sources := []struct{ name, dir string }{
		{"python", "plugins/python"}, {"files", "plugins/files"}, {"http", "plugins/http"},
		{"hello", "testdata/plugins/hello"}, {"echo", "testdata/plugins/echo"}, {"ungranted", "testdata/plugins/ungranted"},
		{"badboy", "testdata/plugins/badboy"}, {"relay", "testdata/plugins/relay"}, {"counter", "testdata/plugins/counter"},
		{"edition", "testdata/plugins/edition"},
	}
	for _, s := range sources {
		if _, err := st.command(ctx, "plugin", "build", s.dir, "-o", wasm(s.name)); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"python", "--host", siteHost}, {"http", "--host", siteHost}, {"files"}, {"echo"}, {"ungranted", "--without", "kernel"},
		{"badboy"}, {"relay"}, {"counter"}, {"edition"},
	} {
		all := append([]string{"plugin", "allow", wasm(args[0]), "--policy", st.path("policy.yaml"), "--yes"}, args[1:]...)
		if _, err := st.command(ctx, all...); err != nil {
			return err
		}
	}
	if err := errors.Join(st.site.grant(st.path("policy.yaml")), limit(st.path("policy.yaml"))); err != nil {
		return err
	}
	// One more custom section changes what the file is, not what it does.
	f, err := os.OpenFile(wasm("echo"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte{0, 2, 1, 'x'})
	return errors.Join(err, f.Close())
}

// A server is the host's process.
type server struct {
	url string
	cmd *exec.Cmd
	log *os.File
}

func (st *stage) serve(ctx context.Context) (*server, error) {
	log, err := os.Create(st.path("host.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, st.sallyport, "serve", "--listen", "127.0.0.1:0",
		"--data-dir", st.path("data"), "--plugin-dir", st.path("plugins"), "--policy", st.path("policy.yaml"), "--python", st.python)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s := &server{cmd: cmd, log: log}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.url = url
			fmt.Println("the host listens on", url)
			go func() { _, _ = io.Copy(io.Discard, stdout) }() // ends with the process
			return s, nil
		}
	}
	return nil, fmt.Errorf("the host didn't start:\n%s%w", s.tail(), s.stop())
}

// stop ends the host as Ctrl-C does, and fails when it doesn't end well.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended already: Wait says
	if err := s.cmd.Wait(); err != nil {
		return errors.Join(fmt.Errorf("the host ended with %w", err), s.log.Close())
	}
	return s.log.Close()
}

func (s *server) tail() string {
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

func (st *stage) tokens(ctx context.Context, url string) (agent, operator *client, err error) {
	clients := map[string]*client{}
	for _, role := range []string{"agent", "operator"} {
		out, err := st.command(ctx, "token", "create", "--role", role, "--name", "demo", "--data-dir", st.path("data"))
		if err != nil {
			return nil, nil, err
		}
		clients[role] = &client{base: url, token: strings.TrimSpace(out)}
	}
	return clients["agent"], clients["operator"], nil
}
