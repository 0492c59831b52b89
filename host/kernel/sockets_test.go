package kernel_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

// beHost starts a kernel in the folder dir, and waits to be killed.
func beHost(dir string) {
	path, err := python()
	var k *kernel.Kernel
	if err == nil {
		var starter *proc.Starter
		starter, err = walled()
		if err == nil {
			k, err = kernel.New(kernel.Config{Starter: starter, User: starter.User(1), Dir: dir, Python: path})
		}
	}
	if err == nil {
		_, err = k.Execute(context.Background(), abi.KernelExecuteRequest{Code: "1"}, nil)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	select {}
}

func TestSocketsOfAHostThatWasKilledAreSweptUp(t *testing.T) {
	runtimeDir, outside := t.TempDir(), t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	left := func() []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(runtimeDir, "*", "s", "connection.json"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self)
	host.Env = append(os.Environ(), roleVariable+"="+t.TempDir())
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	dead := left()
	if said != "up\n" || len(dead) != 1 {
		t.Errorf("the other host says %q, %v, and has %v", said, err, dead)
	}

	first := newKernel(t, nil)
	run(t, first, "1")
	if len(left()) != 2 {
		t.Errorf("beside a host that lives there is %v", left())
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	if len(left()) != 2 || t.Failed() {
		t.Fatalf("of the dead host %v is left", left())
	}

	// What looks like such a folder and isn't one of this host's account's.
	at := func(name string) string { return filepath.Join(runtimeDir, name) }
	others := []string{at("sallyport-k1"), at("sallyport-k2"), at("sallyport-k3"), at("sallyport-kept"), at("k4")}
	for _, err := range []error{
		os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600),
		os.Symlink(outside, others[0]),
		os.WriteFile(others[1], nil, 0o600),
		os.Mkdir(others[2], 0o755), // readable by others: not made by a kernel
		os.Mkdir(others[3], 0o700),
		os.Mkdir(others[4], 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	second := newKernel(t, nil)
	run(t, second, "1")
	now := left()
	if len(now) != 2 || slices.Contains(now, dead[0]) {
		t.Errorf("there is %s, where %s is the dead host's", strings.Join(now, ", "), dead[0])
	}
	for _, path := range append(others, filepath.Join(outside, "kept")) {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	expect(t, first, "print('still here')", "still here\n")
}
