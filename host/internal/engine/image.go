package engine

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// An image is what an instance begins as: the bytes of its memory, its mutable
// globals, and what the host knows of it. There is one of a module that was
// just instantiated, and one of a plugin that was initialised besides, its
// snapshot. It is immutable, and shared by all instances made of it.
type image struct {
	size    uint64   // of the memory, whole pages
	globals []uint64 // of the module's own, in order
	// clock is what the guest's monotonic clock showed, in nanoseconds: in each
	// call it goes on from there.
	clock int64
	// arena is where the plugin's arena is, of arenaSize bytes; none while the
	// size is zero.
	arena, arenaSize uint32

	pages // the bytes, as the system keeps them
}

// imagePage is the unit in which an image leaves out what is zero.
const imagePage = 4096

const imageMagic = "sallyport image 1\n"

// newImage makes an image of a memory whose bytes are b.
func newImage(b []byte, globals []uint64) (*image, error) {
	i := &image{size: uint64(len(b)), globals: slices.Clone(globals)}
	return i, i.hold(func(write func(at int64, b []byte) error) error {
		for at, run := range writtenRuns(b) {
			if err := write(int64(at), run); err != nil {
				return err
			}
		}
		return nil
	})
}

// birth makes the image of a module as it is before anything of it has run.
func birth(size uint64, r *wasm.Rewritten) (*image, error) {
	b := make([]byte, size)
	for _, s := range r.Data {
		copy(b[s.Offset:], s.Bytes)
	}
	var globals []uint64
	for _, g := range r.Globals {
		globals = append(globals, g.Init)
	}
	return newImage(b, globals)
}

// writtenRuns yields the runs of pages in b that aren't all zero, and where
// each begins.
func writtenRuns(b []byte) func(yield func(int, []byte) bool) {
	zero := make([]byte, imagePage)
	return func(yield func(int, []byte) bool) {
		start := -1
		for at := 0; at <= len(b); at += imagePage {
			blank := at == len(b) || string(b[at:min(at+imagePage, len(b))]) == string(zero)
			switch {
			case blank && start >= 0:
				if !yield(start, b[start:at]) {
					return
				}
				start = -1
			case !blank && start < 0:
				start = at
			}
		}
	}
}

// encode writes the image for the cache: a head of numbers, the runs of pages
// that aren't zero. The cache keeps a checksum of all.
func (i *image) encode() []byte {
	out := append(make([]byte, 0, i.size/4), imageMagic...)
	for _, n := range []uint64{i.size, uint64(i.clock), uint64(i.arena), uint64(i.arenaSize), uint64(len(i.globals))} {
		out = binary.LittleEndian.AppendUint64(out, n)
	}
	for _, g := range i.globals {
		out = binary.LittleEndian.AppendUint64(out, g)
	}
	for at, run := range writtenRuns(i.view) {
		out = binary.LittleEndian.AppendUint64(out, uint64(at))
		out = binary.LittleEndian.AppendUint64(out, uint64(len(run)))
		out = append(out, run...)
	}
	return out
}

// decodeImage reads what encode wrote, of a module with so many globals. It
// fails for anything else.
func decodeImage(b []byte, globals int) (*image, error) {
	if len(b) < len(imageMagic)+5*8 || string(b[:len(imageMagic)]) != imageMagic {
		return nil, fmt.Errorf("not an image of a plugin")
	}
	rest := b[len(imageMagic):]
	next := func() (n uint64) {
		if len(rest) >= 8 {
			n, rest = binary.LittleEndian.Uint64(rest), rest[8:]
		}
		return n
	}
	i := &image{size: next(), clock: int64(next()), arena: uint32(next()), arenaSize: uint32(next())}
	if n := next(); i.size > maxMemory || i.size%wasmPage != 0 || n != uint64(globals) || n > uint64(len(rest)/8) {
		return nil, fmt.Errorf("an image of %d bytes with %d globals, of a module with %d", i.size, n, globals)
	}
	for range globals {
		i.globals = append(i.globals, next())
	}
	return i, i.hold(func(write func(at int64, b []byte) error) error {
		for len(rest) > 0 {
			at, n := next(), next()
			if at > i.size || n == 0 || n > i.size-at || n > uint64(len(rest)) {
				return fmt.Errorf("an image with %d bytes at %d", n, at)
			}
			if err := write(int64(at), rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
}
