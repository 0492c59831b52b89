package main

import (
	"syscall"
	"unsafe"
)

//go:wasmimport wasi_snapshot_preview1 path_open
func pathOpen(at int32, lookup uint32, path unsafe.Pointer, pathLen uint32, flags uint32, rights, inheriting uint64, fdFlags uint32, fd unsafe.Pointer) uint32

//go:wasmimport wasi_snapshot_preview1 fd_read
func fdRead(fd int32, vectors unsafe.Pointer, n uint32, read unsafe.Pointer) uint32

// openAt opens a path from a descriptor, with none of what the standard library
// does to paths first.
func openAt(at int32, path string) (int32, syscall.Errno) {
	var fd int32
	b := []byte(path)
	const follow, read = 1, 1 << 1
	errno := pathOpen(at, follow, unsafe.Pointer(&b[0]), uint32(len(b)), 0, read, read, 0, unsafe.Pointer(&fd))
	return fd, syscall.Errno(errno)
}

// readAll reads what a descriptor has, whoever opened it, up to a bound.
func readAll(fd int32) (string, error) {
	b := make([]byte, 4096)
	vector := struct {
		at  uint32
		len uint32
	}{uint32(uintptr(unsafe.Pointer(&b[0]))), uint32(len(b))}
	var n uint32
	if errno := fdRead(fd, unsafe.Pointer(&vector), 1, unsafe.Pointer(&n)); errno != 0 {
		return "", syscall.Errno(errno)
	}
	return string(b[:n]), nil
}
