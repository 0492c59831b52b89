package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	extism "github.com/extism/go-sdk"
	"github.com/knqyf263/go-plugin/examples/helloworld/greeting"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// object is what every guest is given, and incremented what it answers with.
const (
	object      = `{"name":"a widget","count":41}`
	incremented = `{"name":"a widget","count":42}`
)

// same is the error of an answer that isn't the expected one.
func same(got, want string) error {
	if got != want {
		return fmt.Errorf("it answered with %.100q, not %.100q", got, want)
	}
	return nil
}

// newExtism compiles Extism's guest, once. With a timeout its runtime stops
// guests when it is over.
func newExtism(b *testing.B, timeoutMS uint64) *extism.CompiledPlugin {
	b.Helper()
	p, err := extism.NewCompiledPlugin(b.Context(), extism.Manifest{
		Wasm:    []extism.Wasm{extism.WasmData{Data: guest(b, "./guests/extism")}},
		Timeout: timeoutMS,
	}, extism.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func extismInstance(p *extism.CompiledPlugin) (*extism.Plugin, error) {
	return p.Instance(context.Background(), extism.PluginInstanceConfig{
		ModuleConfig: wazero.NewModuleConfig().WithSysWalltime().WithSysNanotime(),
	})
}

// warmExtism calls one instance again and again.
func warmExtism(b *testing.B, timeoutMS uint64, function, in, want string) func() error {
	b.Helper()
	i, err := extismInstance(newExtism(b, timeoutMS))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = i.Close(context.Background()) })
	return func() error { return callExtism(i, function, in, want) }
}

// freshExtism makes an instance for each call, and closes it.
func freshExtism(b *testing.B, timeoutMS uint64) func() error {
	b.Helper()
	p := newExtism(b, timeoutMS)
	return func() error {
		i, err := extismInstance(p)
		if err != nil {
			return err
		}
		return errors.Join(callExtism(i, "add", object, incremented), i.Close(context.Background()))
	}
}

func callExtism(i *extism.Plugin, function, in, want string) error {
	code, out, err := i.Call(function, []byte(in))
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("the exit code is %d", code)
	}
	return same(string(out), want)
}

// warmGoPlugin calls one instance of go-plugin's again and again. It has no
// timeout of its own: a host that wants one has its runtime look at the context.
func warmGoPlugin(b *testing.B, timed bool) func() error {
	b.Helper()
	file := filepath.Join(b.TempDir(), "goplugin.wasm")
	if err := os.WriteFile(file, guest(b, "./guests/goplugin"), 0o600); err != nil {
		b.Fatal(err)
	}
	loader, err := greeting.NewGreeterPlugin(b.Context(), greeting.WazeroRuntime(func(ctx context.Context) (wazero.Runtime, error) {
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(timed))
		_, err := wasi_snapshot_preview1.Instantiate(ctx, r)
		return r, err
	}))
	if err != nil {
		b.Fatal(err)
	}
	p, err := loader.Load(context.Background(), file)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	return func() error {
		ctx := context.Background()
		if timed {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, deadline)
			defer stop()
		}
		reply, err := p.Greet(ctx, &greeting.GreetRequest{Name: object})
		if err != nil {
			return err
		}
		return same(reply.GetMessage(), incremented)
	}
}
