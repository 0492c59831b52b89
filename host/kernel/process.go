package kernel

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

const (
	askAgain   = 250 * time.Millisecond // between kernel_info requests at the start
	drainBound = 500 * time.Millisecond // for the last output of a dead process
	dyingBound = time.Second            // for a process whose sockets have closed
	stopGrace  = time.Second            // for each polite step of an end
	endBound   = 30 * time.Second       // for an end, all steps and the clearing up
	maxRefused = 256                    // comms that are closed
	lateOutput = 64 << 10               // kept of what is printed between executions, bytes
)

// A process is one kernel process and the conversation with it. It is used
// until it ends, and never connected to again.
type process struct {
	log     hclog.Logger
	config  *Config
	sockets *socketDir // removed at the end
	key     signer
	session string

	child                       *proc.Process
	shell, iopub, control, beat *socket
	started                     time.Time

	messages atomic.Uint64
	refused  int          // comms that were closed; iopub's own
	heard    atomic.Int64 // when the heart last beat, in nanoseconds since started
	late     *transcript  // output that came while nothing ran

	ready chan struct{}  // of iopub and shell, for the start: closed when both have answered
	gone  chan struct{}  // closed when the process has ended and all is cleared up
	onEnd func(*process) // called just before gone

	mu       sync.Mutex
	current  *run            // what runs, nil between executions
	asked    map[string]bool // the start's kernel_info requests
	answered map[string]bool // the channels that work
	fault    error           // why the host killed it, nil when it didn't
	purpose  *abi.Error      // what executions are told when it is ended on purpose
}

// startProcess starts a kernel process and returns when it has answered.
// onEnd is called once, when it has ended.
func startProcess(ctx context.Context, c *Config, onEnd func(*process)) (*process, error) {
	p := &process{
		log: c.Logger, config: c,
		key: signer{[]byte(rand.Text())}, session: rand.Text(),
		late:  newTranscript(lateOutput, lateOutput, nil),
		ready: make(chan struct{}), gone: make(chan struct{}), onEnd: onEnd,
		asked: map[string]bool{}, answered: map[string]bool{},
	}
	spec, err := p.prepare(ctx)
	if err != nil {
		p.clearUp()
		return nil, err
	}
	p.started = time.Now()
	if p.child, err = c.Starter.Start(ctx, spec); err != nil {
		p.clearUp()
		return nil, startError(err)
	}
	go p.watch()
	p.log.Info("started a kernel", "language", c.Language, "pid", p.child.PID(), "took", time.Since(p.started))
	return p, nil
}

// prepare makes the folders and files of a process.
func (p *process) prepare(ctx context.Context) (proc.Spec, error) {
	c := p.config
	failed := func(err error) (proc.Spec, error) {
		return proc.Spec{}, abi.Errorf(abi.CodeUnavailable, "the kernel's folders can't be made: %w", err)
	}
	root, err := c.makeFolders()
	if err != nil {
		return failed(err)
	}
	defer root.Close()
	sweepSocketDirs(c.Logger)
	if p.sockets, err = newSocketDir(); err != nil {
		return failed(err)
	}
	sockets := p.sockets.view()
	runtime := c.Starter.Seen(sockets)
	run, err := c.program(ctx, filepath.Join(runtime, connectionName))
	if err != nil {
		return proc.Spec{}, err
	}
	if err := p.sockets.writeConnection(c, p.connection(runtime)); err != nil {
		return failed(err)
	}
	if c.Language == DefaultLanguage {
		if err := configurePython(ctx, c, root, run); err != nil {
			return failed(err)
		}
	}
	others := slices.Concat(run.views, c.Views)
	own := c.folderViews(others)
	spec := proc.Spec{
		Name: c.Language + " kernel", Path: run.path, Args: run.args,
		Env: c.environ(run.path, runtime, own), Dir: own["work"].Source,
		Views:  slices.Concat([]proc.View{sockets}, slices.Collect(maps.Values(own)), others),
		Links:  filepath.Join(c.Dir, "links.json"),
		Limits: c.Limits, User: c.User,
		Quotas: append([]proc.Quota{c.quota(sockets.Source)}, c.Quotas...),
		Ready:  p.connect, StartTimeout: c.StartTimeout,
		Ask: p.askToEnd, Grace: stopGrace,
	}
	if c.Gate != nil {
		spec.Listen = []proc.Listen{{Address: proxyAddress, Serve: c.Gate}}
	}
	return spec, nil
}

// The sockets' numbers, which the ipc transport adds to the path.
const (
	shellPort = iota + 1
	iopubPort
	stdinPort
	controlPort
	beatPort
)

// address is where the host finds a socket.
func (p *process) address(port int) address {
	return address{folder: p.sockets.inner, name: fmt.Sprintf("k-%d", port), owner: p.config.uid()}
}

// connection returns the contents of the connection file, runtime being where
// the kernel sees the folder of its sockets.
func (p *process) connection(runtime string) []byte {
	b, err := json.Marshal(map[string]any{
		"transport": "ipc", "ip": runtime + "/k",
		"shell_port": shellPort, "iopub_port": iopubPort, "stdin_port": stdinPort,
		"control_port": controlPort, "hb_port": beatPort,
		"signature_scheme": "hmac-sha256", "key": string(p.key.key),
		"kernel_name": p.config.Language,
	})
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	return b
}

// connect opens the sockets and talks until shell and iopub have both answered.
// Only then is nothing lost that is printed.
func (p *process) connect(ctx context.Context) (err error) {
	if p.iopub, err = dialSub(ctx, p.address(iopubPort), p.onIOPub); err != nil {
		return err
	}
	if p.shell, err = dialDealer(ctx, p.address(shellPort), p.session, p.onShell); err != nil {
		return err
	}
	if p.control, err = dialDealer(ctx, p.address(controlPort), p.session, func([][]byte) {}); err != nil {
		return err
	}
	if p.beat, err = dialDealer(ctx, p.address(beatPort), p.session, func([][]byte) { p.heard.Store(int64(time.Since(p.started))) }); err != nil {
		return err
	}
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		id := p.newID()
		p.mu.Lock()
		p.asked[id] = true
		p.mu.Unlock()
		if err := p.write(p.shell, id, "kernel_info_request", struct{}{}); err != nil {
			return err
		}
		select {
		case <-p.ready:
			return nil
		case <-again.C:
		case <-p.shell.done:
			return p.shell.err
		case <-p.iopub.done:
			return p.iopub.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer notes that a channel works.
func (p *process) answer(channel string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered[channel] {
		return
	}
	p.answered[channel] = true
	if len(p.answered) == 2 {
		close(p.ready)
	}
}

func (p *process) newID() string {
	return fmt.Sprintf("%s-%d", p.session, p.messages.Add(1))
}

func (p *process) write(s *socket, id, kind string, content any) error {
	frames, err := p.key.encode(header{ID: id, Session: p.session, Username: "sallyport", Type: kind}, content)
	if err != nil {
		return err
	}
	return s.write(frames)
}

// watch lasts as long as the process, and clears up after it.
func (p *process) watch() {
	beat := time.NewTicker(max(p.config.Heartbeat/5, time.Millisecond))
	defer beat.Stop()
	p.heard.Store(int64(time.Since(p.started)))
	for ended := false; !ended; {
		var err error
		select {
		case <-p.child.Done():
			ended = true
		case <-beat.C:
			err = p.pulse()
		case <-p.shell.done:
			err = fmt.Errorf("its shell channel broke: %w", p.shell.err)
		case <-p.iopub.done:
			err = fmt.Errorf("its output channel broke: %w", p.iopub.err)
		}
		if err == nil {
			continue
		}
		// A dying process's sockets close before it can be seen to have ended.
		dying := time.NewTimer(dyingBound)
		select {
		case <-p.child.Done():
		case <-dying.C:
			p.kill(err)
		}
		dying.Stop()
		ended = true
	}
	p.clearUp()
	p.onEnd(p)
	close(p.gone)
}

// pulse asks for a heartbeat, and says when the last one is too long ago.
func (p *process) pulse() error {
	if silence := time.Since(p.started) - time.Duration(p.heard.Load()); silence > p.config.Heartbeat {
		return fmt.Errorf("it has not answered its heartbeat for %v", silence.Round(time.Millisecond))
	}
	if err := p.beat.write([][]byte{[]byte("beat")}); err != nil {
		return fmt.Errorf("its heartbeat channel broke: %w", err)
	}
	return nil
}

// clearUp ends the conversation and removes what was made for it.
func (p *process) clearUp() {
	if p.child != nil {
		bound := time.NewTimer(drainBound)
		select {
		case <-p.iopub.done: // it has said its last word
		case <-bound.C:
		}
		bound.Stop()
	}
	for _, s := range []*socket{p.shell, p.iopub, p.control, p.beat} {
		s.close()
	}
	p.late.close()
	if err := p.sockets.remove(); err != nil {
		p.log.Warn("a kernel's sockets could not be removed", "dir", p.sockets.path, "error", err)
	}
}

// interrupt makes the code that runs raise. It never waits.
func (p *process) interrupt() {
	var err error
	if p.config.InterruptMode == InterruptMessage {
		err = p.write(p.control, p.newID(), "interrupt_request", struct{}{})
	} else {
		err = p.child.Signal(syscall.SIGINT)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.log.Warn("a kernel could not be interrupted", "pid", p.child.PID(), "error", err)
	}
}

// askToEnd is the polite step of an end.
func (p *process) askToEnd(context.Context) error {
	p.mu.Lock()
	busy := p.current != nil
	p.mu.Unlock()
	if busy {
		p.interrupt()
	}
	return p.write(p.control, p.newID(), "shutdown_request", map[string]bool{"restart": false})
}

// kill ends the process without asking, and notes why.
func (p *process) kill(why error) {
	p.mu.Lock()
	if p.fault == nil {
		p.fault = why
	}
	p.mu.Unlock()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.child.Stop(now); err != nil {
		p.log.Error("a kernel could not be ended", "pid", p.child.PID(), "error", err)
	}
}

// awaitEnd returns when the process has ended, which its code asked for; when it
// takes longer than it may, it is killed.
func (p *process) awaitEnd(most time.Duration) {
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-p.gone:
	case <-late.C:
		p.kill(fmt.Errorf("its code asked it to end, and it did not within %v", most))
		<-p.gone
	}
}

// stop ends the process in steps and returns when all is cleared up. When ctx
// ends, the steps are cut short.
func (p *process) stop(ctx context.Context) error {
	if err := p.child.Stop(ctx); err != nil {
		return abi.Errorf(abi.CodeInternal, "the kernel could not be ended: %w", err)
	}
	bound := time.NewTimer(endBound)
	defer bound.Stop()
	select {
	case <-p.gone:
		return nil
	case <-bound.C:
		return abi.Errorf(abi.CodeInternal, "the kernel has ended, but its sockets are still open")
	}
}

// ended says whether the process has ended, and how, in words and when.
func (p *process) ended() (reason string, at time.Time, ok bool) {
	select {
	case <-p.child.Done():
	default:
		return "", time.Time{}, false
	}
	exit := p.child.Exit()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != nil {
		return "ended by the host: " + p.fault.Error(), exit.Time, true
	}
	return exit.Reason, exit.Time, true
}

// endFor notes that the process is being ended on purpose, and what to tell
// those whose code runs in it.
func (p *process) endFor(why *abi.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.purpose = why
}

// endedFor returns what endFor noted, nil when it wasn't called.
func (p *process) endedFor() *abi.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.purpose
}

// ending says whether the process is of no more use.
func (p *process) ending() bool {
	_, _, ended := p.ended()
	p.mu.Lock()
	defer p.mu.Unlock()
	return ended || p.fault != nil || p.purpose != nil
}

// startError turns a failed start into what a caller can handle.
func startError(err error) error {
	failure, ok := errors.AsType[*proc.Error](err)
	if !ok {
		return abi.Errorf(abi.CodeInternal, "the kernel could not be started: %w", err)
	}
	e := abi.Errorf(abi.CodeUnavailable, "the kernel could not be started: %w", err)
	e.Hint = failure.Hint
	switch failure.Reason {
	case proc.ReasonInvalid:
		e.Code = abi.CodeInternal
	case proc.ReasonCanceled:
		e.Code = abi.CodeCanceled
	case proc.ReasonNotReady:
		e.Retryable = true
		e.Hint = "the machine may be too busy: try again, or raise the start's time limit"
	case proc.ReasonEnded:
		if strings.Contains(failure.Output, "No module named") {
			e.Message = "the kernel could not be started: its Python has no ipykernel"
			e.Hint = setupHint
		} else if last := lastLine(failure.Output); last != "" {
			e.Message += ": " + last
		}
	}
	return e
}

// lastLine returns the last line of a program's output, where its complaint is.
func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	line, _ := middleOut(lines[len(lines)-1], 512)
	return line
}
