package kernel_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

// hostile stands in for a kernel and lies on the ZeroMQ level.
const hostile = `
import json, os, socket, struct, sys, threading
info, way = json.load(open(sys.argv[1])), sys.argv[2]
greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)

def property(name, value): return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
def ready(kind):
    body = b"\x05READY" + property(b"Socket-Type", kind)
    if way == "property": body += b"\xf0Identity"
    if way == "value": body += b"\x08Identity" + struct.pack(">I", 0x7fffffff)
    return bytes([4, len(body)]) + body

lies = {
    "huge": b"\x02" + struct.pack(">Q", 1 << 62),
    "impossible": b"\x02" + b"\xff" * 8,
    "frames": b"\x01\x00" * 10000,
    "command": bytes([4, 3]) + b"\xffno",
    "garbage": bytes(range(256)) * 100,
    "unsigned": b"\x01\x09<IDS|MSG>" + b"\x01\x00" + b"\x01\x02{}" * 3 + b"\x00\x02{}",
    "end": b"",
}

def serve(port, kind):
    s = socket.socket(socket.AF_UNIX)
    s.bind(f"{info['ip']}-{port}")
    s.listen()
    while True:
        c, _ = s.accept()
        if way == "silent": continue_.append(c); continue
        c.sendall(greeting if way != "greeting" else os.urandom(64))
        c.recv(64)
        c.sendall(ready(kind))
        if way in lies:
            c.sendall(lies[way])
            if way == "end": c.close(); continue
        continue_.append(c)

continue_ = []
for name, kind in [("shell", b"ROUTER"), ("control", b"ROUTER"), ("hb", b"ROUTER"), ("iopub", b"XPUB")]:
    threading.Thread(target=serve, args=(info[name + "_port"], kind)).start()
`

func TestKernelThatLiesHarmsNothing(t *testing.T) {
	lies := zone(t, "lies")
	lies.ReadOnly = true
	if err := os.WriteFile(filepath.Join(lies.Source, "hostile.py"), []byte(hostile), 0o644); err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	for _, way := range []string{"greeting", "property", "value", "silent", "huge", "impossible", "frames", "command", "garbage", "unsigned", "end"} {
		k := newKernel(t, func(c *kernel.Config) {
			c.Argv = []string{"/usr/bin/python3", "/lies/hostile.py", "{connection_file}", way}
			c.Views = []proc.View{lies}
			c.Language = "lies"
			c.StartTimeout = time.Second
		})
		_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "1"}, nil)
		if abi.CodeOf(err) != abi.CodeUnavailable || err == nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	poll(t, "the goroutines' end", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestKernelCannotReachIntoTheHostFromItsSockets(t *testing.T) {
	t.Parallel()
	// Code in the kernel announces a frame of 2⁶² bytes on the connection itself.
	k := newKernel(t, func(c *kernel.Config) { c.Heartbeat = 2 * time.Second })
	run(t, k, "kept = 1")
	_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{TimeoutMS: 20_000, Code: `
import os, stat, struct
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, b"\x02" + struct.pack(">Q", 1 << 62))
    except OSError: pass
`}, nil)
	if err == nil || abi.CodeOf(err) != abi.CodeStateLost {
		t.Errorf("%v", err)
	}
	expect(t, k, "print('fresh')", "fresh\n")
}
