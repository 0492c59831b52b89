package proc_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// An attempt is a program of testdata/escape that tries to get out. What its
// first comment says, by the key:
//
//	attempt       what it tries, in words
//	wall          which wall is to stop it
//	control       how that wall is lifted, for the attempt to succeed then:
//	              "without" walls, "view" a folder after all, "writable" upload,
//	              "account" of the host's or "other" session's, "env" with the
//	              secret, "file" a descriptor, "follow" links as the host,
//	              "limit" raised, "folder" of the disk at a path, "bare" without any wall: why, "bare root",
//	              "none": why; "+" joins two
//	control-user  the same where the tests are an ordinary user's, if it differs
//	proof         what a success shows: a "secret", a touched "target", or the "word"
//	as            "root": only where the tests are root's
//	needs         what the control needs of this machine
//	passes        the descriptor that the child gets in any case
//	sees          the folder that it sees in any case
//	listens       the child has an address on its network
//	watch         which of the targets that all attempts share is its own
//	limit         which limit the child has
//	then          what the host does afterwards, or meanwhile
//	build         "static": how C is compiled
type attempt struct {
	name   string // of the file
	header map[string]string
}

func (a attempt) has(key, value string) bool { return a.header[key] == value }

// control is how the attempt's wall is lifted, and the reason where it can't be
// or where all have to be.
func (a attempt) control() (terms []string, reason string) {
	text := a.header["control"]
	if own, ok := a.header["control-user"]; ok && os.Geteuid() != 0 {
		text = own
	}
	text, reason, _ = strings.Cut(text, ": ")
	return strings.Split(text, " + "), reason
}

// toolsVariable names the folder of the attempts' programs, where another test
// process has made them.
const toolsVariable = "PROC_TEST_TOOLS"

// tools is a folder, open to all, that holds the attempts, compiled where they
// are in C.
var tools = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv(toolsVariable); dir != "" {
		return dir, nil
	}
	source := filepath.Join("..", "..", "..", "testdata", "escape")
	dir, err := os.MkdirTemp("", "proc-escape-")
	if err != nil {
		return "", err
	}
	cleanups = append(cleanups, func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(source, "*.*"))
	if err != nil {
		return "", err
	}
	var compiling sync.WaitGroup
	failures := make([]error, len(files))
	turns := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o644); err != nil {
			return "", err
		}
		if filepath.Ext(file) != ".c" {
			continue
		}
		compiling.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			program := strings.TrimSuffix(filepath.Base(file), ".c")
			args := []string{"-Wall", "-Werror", "-o", filepath.Join(dir, program), file}
			if bytes.Contains(text, []byte("\n// build: static\n")) {
				args = append(args, "-static")
			}
			if out, err := exec.Command("gcc", append(args, "-lrt")...).CombinedOutput(); err != nil {
				failures[i] = fmt.Errorf("gcc %s: %w\n%s", file, err, out)
			}
		})
	}
	compiling.Wait()
	for _, err := range failures {
		if err != nil {
			return "", err
		}
	}
	if os.Geteuid() == 0 {
		program, err := os.ReadFile("/usr/bin/id")
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, "setid")
		if err := os.WriteFile(path, program, 0o755); err != nil {
			return "", err
		}
		return dir, os.Chmod(path, 0o755|os.ModeSetuid)
	}
	return dir, nil
})

// attempts reads the attempts' headers.
func attempts(t *testing.T) []attempt {
	t.Helper()
	dir, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	var list []attempt
	said := map[string]string{}
	for _, pattern := range []string{"*.c", "*.py", "*.sh"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a := attempt{name: filepath.Base(file), header: map[string]string{}}
			for line := range strings.Lines(string(text)) {
				key, value, ok := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "#/ "), ": ")
				if !ok || !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "//") {
					break
				}
				a.header[key] = value
			}
			for _, key := range []string{"attempt", "wall", "control", "proof"} {
				if a.header[key] == "" {
					t.Errorf("%s doesn't say its %s", a.name, key)
				}
			}
			if other, ok := said[a.header["attempt"]]; ok {
				t.Errorf("%s and %s attempt the same", a.name, other)
			}
			said[a.header["attempt"]] = a.name
			list = append(list, a)
		}
	}
	return list
}

// isolating returns a Starter that requires all walls, the same to all tests.
func isolating(t testing.TB) *proc.Starter {
	t.Helper()
	s, err := required()
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var required = sync.OnceValues(func() (*proc.Starter, error) { return proc.New(proc.Config{}) })

func TestNoAttemptEscapes(t *testing.T) {
	list := attempts(t)
	if len(list) < 60 {
		t.Fatalf("there are %d attempts", len(list))
	}
	var running sync.WaitGroup
	var made, alone atomic.Int64 // alone are shown without a control
	turns := make(chan struct{}, atATime)
	for _, a := range list {
		if a.has("as", "root") && os.Geteuid() != 0 {
			t.Logf("%s: this attempt is one on root's accounts", a.name)
			continue
		}
		running.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			t.Run(a.name, func(t *testing.T) {
				made.Add(1)
				a.fails(t)
				terms, reason := a.control()
				if missing := a.missing(); missing != "" && terms[0] != "none" {
					terms, reason = []string{"none"}, "this machine has no "+missing
				}
				if terms[0] == "none" {
					alone.Add(1)
					t.Logf("%s has no control: %s", a.name, reason)
					return
				}
				a.succeeds(t, terms)
			})
		})
	}
	running.Wait()
	t.Logf("of %d attempts none escaped; %d have no control here", made.Load(), alone.Load())
}

// atATime is how many attempts run side by side: most of them wait.
const atATime = 6

// missing returns what the control needs and this machine lacks.
func (a attempt) missing() string {
	need := a.header["needs"]
	path, value, _ := strings.Cut(need, "=")
	has := true
	switch need {
	case "":
	case "amd64":
		has = runtime.GOARCH == "amd64"
	case "x32":
		_, _, errno := unix.RawSyscall(0x4000_0000|39, 0, 0, 0)
		has = runtime.GOARCH == "amd64" && errno == 0
	case "vsock":
		fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if has = err == nil; has {
			unix.Close(fd)
		}
	default:
		_, err := os.Stat(path)
		has = err == nil
		if value != "" {
			b, _ := os.ReadFile(path)
			has = strings.TrimSpace(string(b)) == value
		}
	}
	if has {
		return ""
	}
	return need
}

// fails holds that the attempt fails behind all walls.
func (a attempt) fails(t *testing.T) {
	t.Helper()
	s := newTargets(t, a)
	output := s.run(t, nil)
	if claimed(output) {
		t.Errorf("it escaped: %s", output)
	}
	for name, secret := range s.secrets {
		if strings.Contains(output, secret) {
			t.Errorf("it got the secret of %s: %s", name, output)
		}
	}
	if touched := s.touched(t); len(touched) > 0 {
		t.Errorf("it touched %q: %s", touched, output)
	}
	for _, broken := range []string{"there is no target", "KeyError", "NameError", "SyntaxError", "ImportError", "not found"} {
		if strings.Contains(output, broken) {
			t.Errorf("the attempt itself is broken: %s", output)
		}
	}
}

// claimed says whether an attempt says that it succeeded.
func claimed(output string) bool { return strings.Contains("\n"+output, "\nESCAPED") }

// succeeds holds that the attempt succeeds with its one wall lifted.
func (a attempt) succeeds(t *testing.T, terms []string) {
	t.Helper()
	s := newTargets(t, a)
	output := s.run(t, terms)
	shown := false
	switch proof := a.header["proof"]; proof {
	case "word":
		shown = claimed(output)
	case "secret":
		for _, secret := range s.secrets {
			shown = shown || strings.Contains(output, secret)
		}
	case "target":
		for until := time.Now().Add(5 * time.Second); !shown && time.Now().Before(until); {
			shown = len(s.touched(t)) > 0 // a victim is not dead at once
		}
	default:
		t.Fatalf("there is no proof %q", proof)
	}
	if !shown {
		t.Errorf("with %q lifted it does not succeed: %s", terms, output)
	}
}

// run runs the attempt with what terms lift, and returns what it said, and what
// the host said that worked with what it left.
func (s *targets) run(t *testing.T, terms []string) string {
	t.Helper()
	starter := isolating(t)
	spec := s.spec(t, starter)
	bare := ""
	for _, term := range terms {
		word, rest, _ := strings.Cut(term, " ")
		switch word {
		case "without":
			starter = starter.Without(strings.Split(rest, ", ")...)
			if rest == proc.WallNetwork {
				spec.Listen = nil // its address would be the machine's
			}
		case "view":
			folder, writable := strings.CutSuffix(rest, " writable")
			spec.Views = append(spec.Views, proc.View{Source: s.folder(folder), ReadOnly: !writable})
		case "one":
			spec.Views = []proc.View{{Source: s.folder("own"), Target: "/own"}, {Source: s.tools, Target: "/tools", ReadOnly: true}}
			spec.Env["ZONE"], spec.Env["UPLOAD"] = "/own/output", "/own/upload"
		case "writable":
			spec.Views[1].ReadOnly = false
		case "account":
			spec.User = proc.User{}
			if rest == "other" {
				spec.User = s.other
			}
		case "env":
			spec.Env["HOST_SECRET"] = s.secrets["environment"]
		case "file":
			spec.Files = []*os.File{s.file(t, rest)}
		case "follow":
			s.follow = true
		case "limit":
			s.bound(t, &spec, rest, true)
		case "folder":
			spec.Views = append(spec.Views, proc.View{Source: s.folder("folder"), Target: strings.TrimPrefix(rest, "at ")})
		case "bare":
			bare = word + rest
		default:
			t.Fatalf("there is no way to lift %q", term)
		}
	}
	if bare != "" {
		return s.runBare(t, spec, bare)
	}
	if s.attempt.has("watch", "terminal") {
		return s.runOnTerminal(t, spec, "terminal")
	}
	p, err := starter.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	if then, meanwhile := strings.CutSuffix(s.attempt.header["then"], " again and again meanwhile"); meanwhile {
		wait(t, "the race", func() bool { return strings.Contains(p.Output(), "racing") || p.Exit().Reason != "" })
		return s.race(t, p, starter, then)
	}
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("it doesn't end: %s", p.Output())
	}
	output := p.Output() + p.Exit().Reason + "\n"
	if then := s.attempt.header["then"]; then != "" {
		output += s.then(t, starter, then)
	}
	return output
}

// How long the host works against a race at least, and at most. That with the
// wall lifted the race is won shows that it goes on for long enough.
const (
	raceTime  = 500 * time.Millisecond
	raceBound = 10 * time.Second
)

// race has the host do the same again and again, until what it follows leads it
// outside, or for a while.
func (s *targets) race(t *testing.T, p *proc.Process, starter *proc.Starter, what string) string {
	t.Helper()
	bound := raceTime
	if s.follow {
		bound = raceBound
	}
	for began := time.Now(); time.Since(began) < bound; {
		for range 50 {
			if said := s.then(t, starter, what); strings.Contains(said, s.secrets["outside"]) {
				return p.Output() + said
			}
		}
		if len(s.touched(t)) > 0 {
			break
		}
	}
	return p.Output()
}

// runBare runs the attempt without walls: as the child's account, or as root, or
// with the host's terminal.
func (s *targets) runBare(t *testing.T, spec proc.Spec, how string) string {
	t.Helper()
	for _, v := range spec.Views {
		for name, value := range spec.Env {
			spec.Env[name] = strings.Replace(value, v.Target, v.Source, 1)
		}
		for i, arg := range spec.Args {
			spec.Args[i] = strings.Replace(arg, v.Target, v.Source, 1)
		}
		spec.Path = strings.Replace(spec.Path, "/tools", s.tools, 1)
	}
	if how == "bareterminal" {
		return s.runOnTerminal(t, spec, "bare terminal")
	}
	if how == "bareroot" {
		spec.User = proc.User{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := bareCommand(ctx, spec).CombinedOutput()
	return fmt.Sprintf("%s%v\n", out, err)
}

func bareCommand(ctx context.Context, spec proc.Spec) *exec.Cmd {
	command := exec.CommandContext(ctx, spec.Path, spec.Args...)
	command.Dir, command.ExtraFiles = spec.Dir, spec.Files
	for name, value := range spec.Env {
		command.Env = append(command.Env, name+"="+value)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if spec.User != (proc.User{}) {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: spec.User.UID, Gid: spec.User.GID}
	}
	return command
}

// TestNothingEscapesAnOrdinaryUser runs the attempts, and what else is about
// isolated children, once more as an account that is not root's.
func TestNothingEscapesAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("the tests are an ordinary user's already")
		return
	}
	t.Parallel()
	const account = 60_123 // nobody's
	programs, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	home := openTempDir(t)
	if err := os.Chown(home, account, account); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(openTempDir(t), "proc.test") // where the account can reach it
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "-test.v", "-test.run", "^(TestNoAttemptEscapes|TestIsolated.*|TestEverythingEnds.*)$", "-test.timeout", "5m")
	command.Dir = home
	command.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"), toolsVariable + "=" + programs}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: account, Gid: account}}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGQUIT) }
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	failure := command.Run()
	ran := 0
	for line := range strings.Lines(output.String()) {
		if strings.Contains(line, "--- PASS") {
			ran++
		}
	}
	if failure != nil || ran < 60 {
		t.Errorf("as an ordinary user %d tests passed, %v:\n%s", ran, failure, output.String())
	}
	for line := range strings.Lines(output.String()) {
		if _, said, ok := strings.Cut(line, "_test.go:"); ok && failure == nil {
			t.Logf("as an ordinary user: %s", said)
		}
	}
}

// openTempDir is a temporary folder that every account can walk to.
func openTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "proc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
