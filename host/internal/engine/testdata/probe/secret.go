//go:build wasip1

package main

import (
	"fmt"
	"strings"
	"syscall"
	"unsafe"
)

// masked is a secret with every bit turned over, so that what looks for it
// isn't found by itself.
var masked = [16]byte{0xac, 0x9a, 0x9c, 0x8d, 0x9a, 0x8b, 0xd2, 0x90, 0x99, 0xd2, 0x8b, 0x97, 0x9a, 0xd2, 0xce, 0xcf}

// page is the unit in which the secret is hidden.
const page = 4096

//go:wasmimport wasi_snapshot_preview1 fd_fdstat_get
func fdstat(fd uint32, out unsafe.Pointer) uint32

// hide writes the secret to the heap many times, and to a variable.
func hide() string {
	secret := make([]byte, len(masked))
	for i, b := range masked {
		secret[i] = ^b
	}
	kept = string(secret)
	for range 64 {
		ballast = append(ballast, []byte(strings.Repeat(kept, 256)))
	}
	return fmt.Sprint(len(ballast))
}

// hunt says how often the secret is in memory, which ends at end, and how many
// descriptors are open beside those that every call has.
func hunt(end uintptr) string {
	found := 0
	for at := uintptr(page); at+uintptr(len(masked)) <= end; at++ {
		if matches(at) {
			found++
		}
	}
	open := 0
	var out [24]byte
	for fd := uint32(9); fd < 1024; fd++ {
		if syscall.Errno(fdstat(fd, unsafe.Pointer(&out))) != syscall.EBADF {
			open++
		}
	}
	return fmt.Sprintf("%d copies, %d descriptors, %d kept", found, open, len(kept)+len(ballast)+len(files))
}

// matches says whether the secret begins at at.
//
//go:noinline
func matches(at uintptr) bool {
	p := (*[len(masked)]byte)(unsafe.Pointer(at))
	for i := range masked {
		if p[i] != ^masked[i] {
			return false
		}
	}
	return true
}
