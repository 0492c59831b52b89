package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestASecondCtrlCEndsTheProcess interrupts a command that waits for its input,
// and so can't end after the first.
func TestASecondCtrlCEndsTheProcess(t *testing.T) {
	cmd := exec.Command("sallyport", "call", "python_run", "-")
	cmd.Env = append(os.Environ(), "SALLYPORT_TOKEN=none")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: once it is written, the command reads, and so has
	// taken charge of its signals.
	if _, err := stdin.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick, deadline := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for {
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case <-done:
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
				t.Errorf("the command ended with %v", cmd.ProcessState)
			}
			return
		case <-deadline:
			t.Error("the command lives on")
			deadline = nil
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		case <-tick.C:
		}
	}
}
