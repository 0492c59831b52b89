package host

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/session"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// Version is the host's version. The build sets it.
var Version = "dev"

// AuditFile is the name of the audit log in the data directory.
const AuditFile = "audit.jsonl"

// Config is what a Host is made of.
type Config struct {
	// DataDir is the host's own folder; it is made if it isn't there, and
	// locked while the host lives. Required.
	DataDir string
	// PluginDir holds the plugins' .wasm files; one that isn't there is empty.
	PluginDir string
	// PolicyFile is the whitelist; one that isn't there admits nothing.
	PolicyFile string
	// Python is the interpreter of kernels; "" is python3.
	Python string
	// Isolation is required, preferred or off; "" is required.
	Isolation string
	// Bubblewrap is the program that isolates kernels: a path, or a name to
	// look up in PATH; "" is bwrap.
	Bubblewrap string
	// KernelMemoryMiB bounds what the processes of one kernel hold in memory,
	// KernelProcesses how many there are, threads included, and
	// KernelProcessors how many processors' worth of time they get; zero is
	// 4096 MiB, 512, and as many as the machine has.
	KernelMemoryMiB, KernelProcesses, KernelProcessors int
	// CAFile is a PEM file of certificate authorities that are trusted, besides
	// the system's, when plugins fetch over https; "" is none.
	CAFile string
	// CacheDir holds native code of plugins and kernels' fonts; "" is cache in
	// DataDir.
	CacheDir string
	// MaxSessions bounds the sessions; zero is session's default.
	MaxSessions int
	// Workspace bounds each session's files; zero fields are workspace's
	// defaults, and its Dir is not used.
	Workspace workspace.Config
	// Limits are the most a plugin gets without a word of the operator's. Zero
	// fields are 512 MiB of memory, 131,072 elements of tables, 8 MiB of stack,
	// fifteen minutes, 10¹² units of fuel, a million host calls with 4 GiB
	// through them, an answer of 16 MiB, 32 calls at once and 128 that wait.
	Limits abi.Limits
	// MaxCalls bounds the calls that are carried out at a time, of all plugins
	// together; zero is 64. Four times as many wait for their turn, and one more
	// is told to come again later.
	MaxCalls int
	// Logger gets everything; nil is none.
	Logger hclog.Logger
}

// A Host is a running Sallyport without a door. Its methods are safe for
// concurrent use.
type Host struct {
	cfg      Config
	log      hclog.Logger
	started  time.Time
	data     *dataDir
	audit    *audit.Log
	starter  *proc.Starter
	roots    *x509.CertPool // of what goes out; nil is the system's
	engine   *engine.Engine
	catalog  *catalog
	sessions *session.Store
	queue    *queue // of all plugins' calls

	decisions quotas // of kernels, on what goes out

	stop context.CancelFunc // of what runs in the background
	wg   sync.WaitGroup
}

// New starts a host. It fails, with a hint, when the data directory can't be
// used, the configuration makes no sense, or the isolation is required and can't
// be had; a missing Python or a bad plugin doesn't stop it. Close must be called.
func New(ctx context.Context, cfg Config) (h *Host, err error) {
	if cfg.DataDir == "" {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "no data directory is set").WithHint("use --data-dir")
	}
	cfg.Isolation = cmp.Or(cfg.Isolation, string(proc.IsolationRequired))
	cfg.Python = cmp.Or(cfg.Python, "python3")
	if err := cfg.Limits.Validate(); err != nil {
		return nil, err
	}
	cfg.Limits = mergeLimits(abi.Limits{}, cfg.Limits, defaultLimits())
	cfg.MaxCalls = cmp.Or(cfg.MaxCalls, 64)
	cfg.KernelMemoryMiB = cmp.Or(cfg.KernelMemoryMiB, 4096)
	cfg.KernelProcesses = cmp.Or(cfg.KernelProcesses, 512)
	cfg.KernelProcessors = cmp.Or(cfg.KernelProcessors, runtime.NumCPU())
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	h = &Host{cfg: cfg, log: cfg.Logger, started: time.Now(), queue: newQueue("the host", false)}
	h.queue.resize(cfg.MaxCalls, 4*cfg.MaxCalls)
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close(ctx))
		}
	}()
	if h.starter, err = newStarter(h.cfg); err != nil {
		return h, err
	}
	if h.roots, err = authorities(cfg.CAFile); err != nil {
		return h, err
	}
	if h.data, err = openDataDir(cfg.DataDir); err != nil {
		return h, err
	}
	if err := os.RemoveAll(h.data.join(tmpDir)); err != nil {
		return h, fmt.Errorf("calls' temporary folders: %w", err)
	}
	h.cfg.CacheDir = cmp.Or(cfg.CacheDir, h.data.join("cache"))
	if h.audit, err = audit.Open(audit.Config{Path: h.data.join(AuditFile), Logger: h.log.Named("audit")}); err != nil {
		return h, err
	}
	if h.engine, err = engine.New(engine.Config{Logger: h.log.Named("engine"), CacheDir: filepath.Join(h.cfg.CacheDir, "code")}); err != nil {
		return h, err
	}
	h.sessions, err = session.Open(session.Config{
		Dir: h.data.join("sessions"), NewKernel: h.newKernel, Workspace: cfg.Workspace, User: h.account, Remove: proc.RemoveTree,
		MaxSessions: cfg.MaxSessions, Ended: h.endInstances, Logger: h.log.Named("session"),
	})
	if err != nil {
		return h, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	h.catalog = &catalog{
		dir: cfg.PluginDir, policyFile: cfg.PolicyFile, engine: h.engine, defaults: h.cfg.Limits,
		log: h.log.Named("catalog"), audit: h.audit.Append,
		left:       func(l *loaded) { h.wg.Go(func() { h.retire(background, l) }) },
		compiling:  make(chan struct{}, 1),
		refreshing: make(chan struct{}, 1), queues: map[string]*queue{},
	}
	err = h.audit.Append(audit.Entry{Kind: audit.KindHostStart, Detail: map[string]string{
		"version": Version, "isolation": cfg.Isolation,
	}})
	if err != nil {
		return h, err
	}
	report := func(err error) {
		h.log.Error("the plugins can't be brought up to date", "error", err, "hint", abi.AsError(err).Hint)
	}
	if _, err := h.catalog.settled(ctx); err != nil {
		report(err)
	}
	h.wg.Go(func() { h.catalog.watch(background, report) })
	return h, nil
}

// revokeTime is how long a revoked plugin's kernels have to end by themselves.
const revokeTime = 500 * time.Millisecond

// drainGrace is how long calls may take to end after their deadline.
const drainGrace = 5 * time.Second

// retire waits until a plugin that was replaced has nothing under way, which
// its deadline bounds, or was revoked. It then ends what the plugin left
// running: its kernels, within a second whatever they do, then its code.
func (h *Host) retire(ctx context.Context, l *loaded) {
	ctx = context.WithoutCancel(ctx)
	late := time.NewTimer(time.Duration(l.limits.Deadline) + drainGrace)
	defer late.Stop()
	select {
	case <-l.gate.empty:
	case <-l.ctx.Done():
	case <-late.C:
		l.revoke(tooLong(l.limits))
	}
	if h.catalog.gone(l) {
		h.endKernels(ctx, l)
	}
	code, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := l.code.Close(code); err != nil {
		h.log.Error("a plugin's code is still in use", "plugin", l.name(), "digest", l.artifact.Digest, "error", err)
		return
	}
	h.log.Info("plugin gone", "plugin", l.name(), "digest", l.artifact.Digest, "revoked", l.ctx.Err() != nil)
}

// endKernels ends the kernels of what an operator approved, in all sessions.
func (h *Host) endKernels(ctx context.Context, l *loaded) {
	ctx, stop := context.WithTimeout(ctx, revokeTime)
	defer stop()
	var wg sync.WaitGroup
	for _, s := range h.sessions.List("") {
		wg.Go(func() {
			err := s.EndKernels(ctx, session.Replaced, func(key session.KernelKey) bool { return key.Approval == l.approval })
			if err != nil {
				h.log.Error("a plugin's kernel ended badly", "plugin", l.name(), "session", s.ID, "error", err)
			}
		})
	}
	wg.Wait()
}

// endInstances ends what plugins kept for a session that is over.
func (h *Host) endInstances(ctx context.Context, session string) {
	for _, l := range h.catalog.running(h.catalog.now()) {
		l.code.EndSession(ctx, session)
	}
}

// Close ends calls, kernels and plugins, in that order, and closes the audit
// log. It waits until ctx is over. Sessions' files stay.
func (h *Host) Close(ctx context.Context) error {
	var errs []error
	if h.stop != nil {
		h.stop()
	}
	if h.sessions != nil {
		errs = append(errs, h.sessions.Close(ctx))
	}
	if h.catalog != nil {
		errs = append(errs, h.catalog.close(ctx))
	}
	errs = append(errs, waitFor(ctx, &h.wg))
	if h.engine != nil {
		errs = append(errs, h.engine.Close(ctx))
	}
	if h.audit != nil {
		errs = append(errs, h.audit.Append(audit.Entry{Kind: audit.KindHostStop}), h.audit.Close())
	}
	if h.data != nil {
		errs = append(errs, h.data.close())
	}
	return errors.Join(errs...)
}

// waitFor waits for wg until ctx is over.
func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("what runs in the background has not ended: %w", ctx.Err())
	}
}

// Isolated says whether kernels stand behind walls; Status says which.
func (h *Host) Isolated() bool { return h.starter.Isolated() }

// Sessions returns the sessions, for the doors.
func (h *Host) Sessions() *session.Store { return h.sessions }

// DataFile returns the path of a file in the data directory, for a door that
// keeps its own state there.
func (h *Host) DataFile(name string) string { return h.data.join(name) }

// Audit appends an entry of a door's to the log.
func (h *Host) Audit(e audit.Entry) error { return h.audit.Append(e) }

// AuditLog reads the log, the newest entries last.
func (h *Host) AuditLog(f audit.Filter) ([]audit.Entry, error) { return h.audit.Read(f) }

// A ToolInfo is a tool that can be called now.
type ToolInfo struct {
	abi.Tool
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
}

// Tools lists the tools of the loaded plugins by full name.
func (h *Host) Tools(ctx context.Context) ([]ToolInfo, error) {
	plugins, _, err := h.catalog.list(ctx)
	if err != nil {
		return nil, err
	}
	tools := []ToolInfo{}
	for _, p := range plugins {
		m := p.artifact.Manifest
		for _, t := range m.Tools {
			t.Name = abi.FullName(m.Name, t.Name)
			tools = append(tools, ToolInfo{Tool: t, Plugin: m.Name, Version: m.Version})
		}
	}
	slices.SortFunc(tools, func(a, b ToolInfo) int { return cmp.Compare(a.Name, b.Name) })
	return tools, nil
}

// Plugins lists every file of the plugin directory and what became of it.
func (h *Host) Plugins(ctx context.Context) ([]PluginStatus, error) {
	_, statuses, err := h.catalog.list(ctx)
	return statuses, err
}

// Status is how the host fares.
type Status struct {
	Version   string         `json:"version"`
	ABI       int            `json:"abi"`
	Go        string         `json:"go"`
	PID       int            `json:"pid"`
	Started   time.Time      `json:"started"`
	Isolation string         `json:"isolation"`
	Walls     []Wall         `json:"walls"`
	Plugins   map[string]int `json:"plugins"` // by state
	Sessions  int            `json:"sessions"`
	Kernels   map[string]int `json:"kernels"` // by state
	Problem   string         `json:"problem,omitempty"`
}

// A Wall is one thing that may stand between kernels and this machine.
type Wall struct {
	Name   string `json:"name"`
	Holds  bool   `json:"holds"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // what to do about one that doesn't hold
}

// Status says how the host fares, and what protects it.
func (h *Host) Status(ctx context.Context) Status {
	s := Status{
		Version: Version, ABI: abi.Version, Go: runtime.Version(), PID: os.Getpid(), Started: h.started.UTC(),
		Isolation: h.cfg.Isolation, Plugins: map[string]int{}, Kernels: map[string]int{},
	}
	for _, w := range h.starter.Walls() {
		s.Walls = append(s.Walls, Wall(w))
	}
	plugins, err := h.Plugins(ctx)
	if err != nil {
		s.Problem = fmt.Sprint(err)
	}
	for _, p := range plugins {
		s.Plugins[p.State]++
	}
	for _, sess := range h.sessions.List("") {
		s.Sessions++
		for _, k := range sess.Kernels() {
			s.Kernels[k.State]++
		}
	}
	return s
}

// Describe runs the describe export of a module, without any capability, and
// returns its frame: what plugin.Build needs to learn tools and schemas.
func Describe(ctx context.Context, wasm []byte) ([]byte, error) {
	e, err := engine.New(engine.Config{Interpreter: true})
	if err != nil {
		return nil, err
	}
	// What a build machine can't describe, no host has to run: every module
	// may be imported here, since no function of any does anything.
	var modules []string
	for _, op := range abi.Ops() {
		module, _ := abi.SplitOp(op)
		modules = append(modules, module)
	}
	p, err := e.Compile(ctx, wasm, engine.Options{Modules: modules, Limits: defaultLimits()})
	if err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	frame, err := p.Describe(ctx)
	return frame, errors.Join(err, p.Close(ctx), e.Close(ctx))
}

var _ plugin.Describe = Describe
