//go:build wasip1

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// kept is what one step leaves for a later one of the same call, and what must
// not be there in the next call.
var (
	kept    string
	files   []*os.File
	ballast [][]byte
)

// began is when the guest was initialised.
var began = time.Now()

var actions map[string]func(step) (string, error)

func init() {
	actions = map[string]func(step) (string, error){
		"hide": func(step) (string, error) { return hide(), nil },
		"hunt": func(s step) (string, error) { return hunt(uintptr(s.At)), nil },

		// Files.
		"read":  func(s step) (string, error) { b, err := os.ReadFile(s.Path); return string(b), err },
		"write": func(s step) (string, error) { return "", os.WriteFile(s.Path, []byte(s.Data), 0o600) },
		"append": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, func(f *os.File) error { return writeAll(f, s.Data) })
		},
		"open": func(s step) (string, error) {
			f, err := os.OpenFile(s.Path, s.Flag, 0o600)
			if err == nil {
				files = append(files, f)
			}
			return "", err
		},
		"write open": func(s step) (string, error) { return "", writeAll(files[0], s.Data) },
		"pread": func(s step) (string, error) {
			b := make([]byte, 4)
			var n int
			err := withFile(s.Path, os.O_RDONLY, func(f *os.File) (err error) { n, err = f.ReadAt(b, s.At); return err })
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return string(b[:n]), err
		},
		"pwrite": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_RDWR|s.Flag, func(f *os.File) error { _, err := f.WriteAt([]byte(s.Data), s.At); return err })
		},
		"raw pwrite": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_RDWR|s.Flag, func(f *os.File) error {
				_, err := syscall.Pwrite(int(f.Fd()), []byte(s.Data), s.At)
				return err
			})
		},
		"seek": func(s step) (string, error) {
			var rest []byte
			err := withFile(s.Path, os.O_RDONLY, func(f *os.File) error {
				if _, err := f.Seek(s.At, s.Flag); err != nil {
					return err
				}
				var err error
				rest, err = io.ReadAll(f)
				return err
			})
			return string(rest), err
		},
		"truncate":  func(s step) (string, error) { return "", os.Truncate(s.Path, s.At) },
		"remove":    func(s step) (string, error) { return "", os.Remove(s.Path) },
		"removeall": func(s step) (string, error) { return "", os.RemoveAll(s.Path) },
		"unlink":    func(s step) (string, error) { return "", syscall.Unlink(s.Path) },
		"rmdir":     func(s step) (string, error) { return "", syscall.Rmdir(s.Path) },
		"rename":    func(s step) (string, error) { return "", os.Rename(s.Path, s.To) },
		"mkdir":     func(s step) (string, error) { return "", os.Mkdir(s.Path, 0o700) },
		"mkdirall":  func(s step) (string, error) { return "", os.MkdirAll(s.Path, 0o700) },
		"readdir": func(s step) (string, error) {
			list, err := os.ReadDir(s.Path)
			var names []string
			for _, e := range list {
				name := e.Name()
				if e.IsDir() {
					name += "/"
				}
				names = append(names, name)
			}
			return strings.Join(names, " "), err
		},
		"list removed": func(s step) (string, error) { return "", listRemoved(s.Path) },
		"stat":         func(s step) (string, error) { return describeFile(os.Stat(s.Path)) },
		"lstat":        func(s step) (string, error) { return describeFile(os.Lstat(s.Path)) },
		"same": func(s step) (string, error) {
			a, err := os.Stat(s.Path)
			if err != nil {
				return "", err
			}
			b, err := os.Stat(s.To)
			return strconv.FormatBool(os.SameFile(a, b)), err
		},
		"chtimes":  func(s step) (string, error) { return "", os.Chtimes(s.Path, time.Time{}, time.Unix(s.At, 0)) },
		"symlink":  func(s step) (string, error) { return "", os.Symlink(s.Path, s.To) },
		"link":     func(s step) (string, error) { return "", os.Link(s.Path, s.To) },
		"readlink": func(s step) (string, error) { return os.Readlink(s.Path) },
		"preopens": preopens,
		"openat":   openAt,
		"append mode": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_RDWR|s.Flag, func(f *os.File) error {
				if no := fdSetFlags(int32(f.Fd()), int32(s.At)); no != 0 {
					return syscall.Errno(no)
				}
				return writeAll(f, s.Data)
			})
		},
		"sync": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_RDWR, func(f *os.File) error { return errors.Join(writeAll(f, s.Data), f.Sync()) })
		},
		"read write-only": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_WRONLY, func(f *os.File) error { _, err := f.Read(make([]byte, 1)); return err })
		},
		"write read-only": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_RDONLY, func(f *os.File) error { return writeAll(f, "x") })
		},
		"truncate read-only": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_RDONLY, func(f *os.File) error { return f.Truncate(0) })
		},
		"list twice": func(s step) (string, error) {
			var first, second []string
			err := withFile(s.Path, os.O_RDONLY, func(f *os.File) (err error) {
				if first, err = f.Readdirnames(-1); err != nil {
					return err
				}
				if _, err = f.Seek(0, io.SeekStart); err != nil {
					return err
				}
				second, err = f.Readdirnames(-1)
				return err
			})
			return fmt.Sprint(len(first), len(second)), err
		},
		"fstat": func(s step) (string, error) {
			return "", withFile(s.Path, os.O_RDONLY, func(f *os.File) error { _, err := f.Stat(); return err })
		},
		// By descriptor, as C libraries do on a mount's own.
		"fd list": func(s step) (string, error) {
			var buf [512]byte
			var used uint32
			no := fdReaddir(int32(s.At), unsafe.Pointer(&buf), uint32(len(buf)), 0, unsafe.Pointer(&used))
			return strconv.Itoa(int(used)), errnoOf(no)
		},
		"fd stat": func(s step) (string, error) {
			var stat [8]uint64
			no := fdFilestatGet(int32(s.At), unsafe.Pointer(&stat))
			return fmt.Sprintf("type %d, %d bytes", byte(stat[2]), stat[4]), errnoOf(no)
		},
		"fd sync": func(s step) (string, error) {
			return "", errors.Join(errnoOf(fdSync(int32(s.At))), errnoOf(fdDatasync(int32(s.At))))
		},
		"fd times": func(s step) (string, error) {
			const setModified = 1 << 2
			return "", errnoOf(fdFilestatSetTimes(int32(s.At), 0, int64(s.Flag)*1e9, setModified))
		},
		"renumber": func(s step) (string, error) { return "", errnoOf(fdRenumber(int32(s.Flag), int32(s.At))) },

		// Operations.
		"execute": func(s step) (string, error) { return operate(kernelExecute, s) },
		"log":     func(s step) (string, error) { return operate(callLog, s) },
		"response": func(s step) (string, error) {
			b := make([]byte, max(s.At, 1))
			n := callResponse(unsafe.Pointer(&b[0]), uint32(s.At))
			return fmt.Sprintf("%d %q", n, b[:s.At]), nil
		},

		// The rest of the world.
		"print":  func(s step) (string, error) { fmt.Print(s.Data); return "", nil },
		"stderr": func(s step) (string, error) { fmt.Fprint(os.Stderr, s.Data); return "", nil },
		"flood": func(s step) (string, error) {
			line := bytes.Repeat([]byte("x"), int(s.At))
			for range s.Flag {
				os.Stderr.Write(line)
			}
			return "", nil
		},
		"environment": func(step) (string, error) {
			in, err := io.ReadAll(os.Stdin)
			return fmt.Sprintf("%d %d %q", len(os.Args), len(os.Environ()), in), err
		},
		"random": func(s step) (string, error) {
			b := make([]byte, s.At)
			rand.Read(b)
			return hex.EncodeToString(b[:min(len(b), 16)]), nil
		},
		"monotonic": func(step) (string, error) { return strconv.FormatInt(time.Since(began).Nanoseconds(), 10), nil },
		"close":     func(s step) (string, error) { return "", syscall.Close(int(s.At)) },
		"clock":     func(step) (string, error) { return time.Now().UTC().Format(time.RFC3339Nano), nil },
		"sleep":     func(s step) (string, error) { time.Sleep(time.Duration(s.At)); return "", nil },
		"keep":      func(s step) (string, error) { kept += s.Data; return kept, nil },
		"panic":     func(s step) (string, error) { panic(s.Data) },
		"exit":      func(s step) (string, error) { os.Exit(int(s.At)); return "", nil },
		"loop": func(step) (string, error) {
			for i := 0; ; i++ {
				kept = strconv.Itoa(i)
			}
		},
		"memory": func(s step) (string, error) {
			ballast = append(ballast, bytes.Repeat([]byte{1}, int(s.At)))
			return "", nil
		},
	}
}

// listRemoved opens a folder, lists it, removes it and lists it again. It stays
// open.
func listRemoved(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	files = append(files, f)
	if _, err := f.Readdirnames(-1); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	_, _ = f.Seek(0, io.SeekStart)
	_, _ = f.Readdirnames(-1) // it is gone
	return nil
}

func withFile(name string, flag int, use func(*os.File) error) error {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(use(f), f.Close())
}

func writeAll(f *os.File, s string) error { _, err := f.WriteString(s); return err }

func describeFile(info fs.FileInfo, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s %d %d", info.Name(), info.Mode().Type(), info.Size(), info.ModTime().Unix()), nil
}

// operate calls an import with the frame in Data and room for At bytes, and
// says what it returned and what it wrote.
func operate(f func(unsafe.Pointer, uint32, unsafe.Pointer, uint32) int64, s step) (string, error) {
	request, room := []byte(s.Data+"\x00"), make([]byte, max(s.At, 1))
	n := f(unsafe.Pointer(&request[0]), uint32(len(s.Data)), unsafe.Pointer(&room[0]), uint32(s.At))
	if n < 0 {
		return strconv.FormatInt(n, 10), errors.New("refused")
	}
	return fmt.Sprintf("%d %q", n, room[:min(n, s.At)]), nil
}

//go:wasmimport wasi_snapshot_preview1 fd_prestat_get
func fdPrestatGet(fd int32, prestat unsafe.Pointer) uint32

//go:wasmimport wasi_snapshot_preview1 fd_prestat_dir_name
func fdPrestatDirName(fd int32, path unsafe.Pointer, n uint32) uint32

//go:wasmimport wasi_snapshot_preview1 fd_fdstat_set_flags
func fdSetFlags(fd, flags int32) uint32

//go:wasmimport wasi_snapshot_preview1 fd_readdir
func fdReaddir(fd int32, buf unsafe.Pointer, n uint32, cookie int64, used unsafe.Pointer) uint32

//go:wasmimport wasi_snapshot_preview1 fd_filestat_get
func fdFilestatGet(fd int32, stat unsafe.Pointer) uint32

//go:wasmimport wasi_snapshot_preview1 fd_filestat_set_times
func fdFilestatSetTimes(fd int32, atim, mtim int64, flags int32) uint32

//go:wasmimport wasi_snapshot_preview1 fd_sync
func fdSync(fd int32) uint32

//go:wasmimport wasi_snapshot_preview1 fd_datasync
func fdDatasync(fd int32) uint32

//go:wasmimport wasi_snapshot_preview1 fd_renumber
func fdRenumber(from, to int32) uint32

//go:wasmimport wasi_snapshot_preview1 path_open
func pathOpen(fd, dirflags int32, path unsafe.Pointer, n uint32, oflags int32, rights, inheriting int64, fdflags int32, opened unsafe.Pointer) uint32

//go:wasmimport wasi_snapshot_preview1 fd_close
func fdClose(fd int32) uint32

func errnoOf(n uint32) error {
	if n == 0 {
		return nil
	}
	return syscall.Errno(n)
}

// preopens lists the mounts by their descriptors, as a C library finds them.
func preopens(step) (string, error) {
	var list []string
	for fd := int32(3); ; fd++ {
		var prestat [2]uint32
		if fdPrestatGet(fd, unsafe.Pointer(&prestat)) != 0 {
			return strings.Join(list, " "), nil
		}
		name := make([]byte, prestat[1])
		if no := fdPrestatDirName(fd, unsafe.Pointer(&name[0]), prestat[1]); no != 0 {
			return "", syscall.Errno(no)
		}
		list = append(list, fmt.Sprintf("%d=%s", fd, name))
	}
}

// openAt opens Path below the descriptor At with the open flags Flag, and To
// below what that gave, when there is a To.
func openAt(s step) (string, error) {
	fd := int32(s.At)
	for _, name := range []string{s.Path, s.To} {
		if name == "" {
			break
		}
		var opened int32
		const read = 1 << 1
		if no := pathOpen(fd, 1, unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), int32(s.Flag), read, read, 0, unsafe.Pointer(&opened)); no != 0 {
			return "", syscall.Errno(no)
		}
		defer fdClose(opened)
		fd = opened
	}
	return "", nil
}
