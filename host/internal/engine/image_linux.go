package engine

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pages are an image's bytes in a file that exists in memory alone and can't
// be changed any more: what is mapped of it privately is copied page by page
// as it is written.
type pages struct {
	file *os.File
	view []byte // all of it, to be read
}

// A mapping is a memory's bytes, all that it may grow to.
type mapping struct {
	b       []byte
	regions *pageRegions // for reset
}

// hold makes the file, of i.size bytes, and has fill write it. What is never
// written is zero and takes no memory.
func (i *image) hold(fill func(write func(at int64, b []byte) error) error) (err error) {
	fd, err := unix.MemfdCreate("sallyport-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // kernels before 6.3 don't know the last flag
		fd, err = unix.MemfdCreate("sallyport-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return fmt.Errorf("memory for an image: %w", err)
	}
	i.file = os.NewFile(uintptr(fd), "image")
	defer func() {
		if err != nil {
			i.drop()
		}
	}()
	if err := i.file.Truncate(int64(i.size)); err != nil {
		return err
	}
	write := func(at int64, b []byte) error {
		_, err := i.file.WriteAt(b, at)
		return err
	}
	if err := fill(write); err != nil {
		return err
	}
	// Nobody changes it from here on, not even who inherits or opens it.
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(i.file.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal an image: %w", err)
	}
	if i.size > 0 {
		i.view, err = unix.Mmap(fd, 0, int(i.size), unix.PROT_READ, unix.MAP_SHARED)
	}
	return err
}

// drop frees the bytes. Memories made of the image keep theirs.
func (i *image) drop() {
	if i.view != nil {
		_ = unix.Munmap(i.view)
		i.view = nil
	}
	_ = i.file.Close()
}

// newMemory makes a memory of the image, with room for limit bytes.
func (i *image) newMemory(limit uint64) (*memory, error) {
	if i.size > limit {
		return nil, fmt.Errorf("the plugin has %d bytes of memory once it is initialised, the limit is %d", i.size, limit)
	}
	// The reservation costs addresses alone. Huge pages would copy 2 MiB for
	// every byte that is written first.
	b, err := unix.Mmap(-1, 0, int(limit), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("addresses for a plugin's memory: %w", err)
	}
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) // a kernel without huge pages refuses it
	_ = unix.Madvise(b, unix.MADV_DONTFORK)
	m := &memory{image: i, limit: limit, mapping: mapping{b: b, regions: new(pageRegions)}}
	if i.size > 0 {
		_, err = unix.MmapPtr(int(i.file.Fd()), 0, unsafe.Pointer(&b[0]), uintptr(i.size),
			unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
		if err != nil {
			m.release()
			return nil, fmt.Errorf("map an image: %w", err)
		}
	}
	return m, nil
}

func (m *memory) extend(size uint64) []byte { return m.b[:size:size] }

func (m *memory) release() {
	if m.b != nil {
		_ = unix.Munmap(m.b)
		m.b = nil
	}
}

// keptPages is how many pages that a call wrote are copied back, and so stay
// for the next, which is likely to write the same ones: a copy is cheaper than
// a fault. The others are given back.
const keptPages = 160

// reset makes the memory what it was when it began, where it hasn't grown.
func (m *memory) reset() error {
	if m.image.size == 0 {
		return nil
	}
	all := m.b[:m.image.size:m.image.size]
	kept := 0
	scanned := writtenPages(all, m.regions, func(from, to int) error {
		if n := (to - from) / imagePage; kept+n <= keptPages {
			kept += n
			copy(all[from:to], m.image.view[from:to])
			return nil
		}
		return unix.Madvise(all[from:to], unix.MADV_DONTNEED)
	})
	if scanned == nil {
		return nil
	}
	// An older kernel can't say what was written: all of it goes.
	return unix.Madvise(all, unix.MADV_DONTNEED)
}
