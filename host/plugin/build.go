package plugin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Describe runs the describe export of a module, without any capability, and
// returns the frame it answered with.
type Describe func(ctx context.Context, wasm []byte) ([]byte, error)

// A BuildConfig says what to build.
type BuildConfig struct {
	// Dir holds the plugin's Go package and its plugin.yaml; "" is the working
	// directory.
	Dir string
	// Output is the file to write; "" is <name>.wasm in Dir.
	Output string
	// Describe learns the tools and their schemas. Required.
	Describe Describe
	// Stderr gets what the compiler says as it says it; nil keeps it for the
	// error.
	Stderr io.Writer
}

// Build compiles a plugin written in Go, learns its tools from it and writes
// one .wasm file. The same sources, dependencies and toolchain give the same
// bytes, wherever the folder is. It runs the go command, and ends it with ctx.
func Build(ctx context.Context, cfg BuildConfig) (*Artifact, error) {
	cfg.Dir = cmp.Or(cfg.Dir, ".")
	if cfg.Describe == nil {
		return nil, abi.Errorf(abi.CodeInternal, "plugin.Build has nothing that runs describe")
	}
	source, err := ReadSource(filepath.Join(cfg.Dir, SourceFile))
	if err != nil {
		return nil, err
	}
	files, err := source.Resources()
	if err != nil {
		return nil, err
	}
	wasm, err := compile(ctx, cfg)
	if err != nil {
		return nil, err
	}
	description, err := ReadDescription(ctx, cfg.Describe, wasm)
	if err != nil {
		return nil, inFile(cfg.Dir, err)
	}
	packed, err := Pack(wasm, source.Manifest(description), files)
	if err != nil {
		return nil, inFile(cfg.Dir, err)
	}
	a, err := Parse(packed)
	if err != nil {
		return nil, inFile(cfg.Dir, err)
	}
	a.Path = cmp.Or(cfg.Output, filepath.Join(cfg.Dir, source.Name+".wasm"))
	return a, a.Write(a.Path)
}

// ReadDescription runs describe and reads what it answers.
func ReadDescription(ctx context.Context, describe Describe, wasm []byte) (abi.Description, error) {
	var d abi.Description
	frame, err := describe(ctx, wasm)
	if err != nil {
		return d, err
	}
	f, err := abi.DecodeFrame(frame)
	if err == nil {
		err = f.Decode(&d)
	}
	if err != nil {
		return d, abi.Errorf(abi.CodePluginFailed, "%s answers with what isn't a description: %w", abi.ExportDescribe, err)
	}
	return d, nil
}

// stopGrace is how long the go command has to end by itself.
const stopGrace = 5 * time.Second

// compile runs the go command in the plugin's folder and returns the module.
func compile(ctx context.Context, cfg BuildConfig) ([]byte, error) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "there is no go command to compile %s with", cfg.Dir).
			WithHint("install Go from https://go.dev/dl, or build the module elsewhere and use sallyport plugin pack")
	}
	tmp, err := os.MkdirTemp("", "sallyport-build-")
	if err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "no temporary folder to build in: %w", err)
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "plugin.wasm")
	said := &tail{most: 4 << 10}
	cmd := exec.CommandContext(ctx, goCommand, "build", "-buildmode=c-shared",
		"-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = cfg.Dir
	// What would change the bytes from one machine to the next is set here.
	cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=", "GOEXPERIMENT=")
	cmd.Stdout, cmd.Stderr = said, said
	if cfg.Stderr != nil {
		w := io.MultiWriter(said, cfg.Stderr)
		cmd.Stdout, cmd.Stderr = w, w
	}
	cmd.WaitDelay = stopGrace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			code := abi.CodeCanceled
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				code = abi.CodeDeadlineExceeded
			}
			return nil, abi.Errorf(code, "the build of %s was ended: %w", cfg.Dir, ctx.Err())
		}
		return nil, compileFailed(cfg, said.String(), err)
	}
	return readFile(out)
}

func compileFailed(cfg BuildConfig, said string, err error) error {
	if _, ran := errors.AsType[*exec.ExitError](err); !ran {
		return abi.Errorf(abi.CodeUnavailable, "the go command can't be run in %s: %w", cfg.Dir, err)
	}
	e := invalid("%s doesn't compile", cfg.Dir).WithCause(err)
	if cfg.Stderr == nil {
		e.Message += ": " + strings.TrimSpace(said)
	}
	for _, sign := range []string{"missing go.sum entry", "updates to go.mod needed", "no required module provides", "go.mod file not found", "cannot find main module"} {
		if strings.Contains(said, sign) {
			return e.WithHint("run: go mod tidy, in %s", cfg.Dir)
		}
	}
	return e.WithHint("the compiler says where; the target is GOOS=wasip1 GOARCH=wasm")
}

// A tail keeps the end of what is written to it.
type tail struct {
	most int
	bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	n, _ := t.Buffer.Write(p) // it can't fail
	if over := t.Len() - t.most; over > t.most {
		t.Next(over)
	}
	return n, nil
}

func (t *tail) String() string {
	s := t.Buffer.String()
	if over := len(s) - t.most; over > 0 {
		return fmt.Sprintf("… %s", s[over:])
	}
	return s
}
