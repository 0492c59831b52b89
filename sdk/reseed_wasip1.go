package sdk

import (
	"math/rand/v2"
	"unsafe"
)

//go:wasmimport wasi_snapshot_preview1 random_get
//go:noescape
func wasiRandom(buf unsafe.Pointer, n uint32) uint32

// A generator is what math/rand's own functions, maps and the rest of the
// runtime draw from, as it lies in memory. The language has no way to seed it
// anew, and a call that starts from a copy of memory would draw what every
// other draws.
type generator struct {
	buf  [32]uint64 // drawn one by one
	seed [4]uint64
	i, n uint32 // the next one, and how many there are
	c    uint32 // of blocks since the seed was new
}

// runtimes is the runtime's generator; nil where it isn't as we know it.
var runtimes *generator

// findGenerator looks for the runtime's generator among what lies below limit,
// by what it draws. Nothing is taken for it that doesn't prove to be.
func findGenerator(limit unsafe.Pointer) *generator {
	const first = unsafe.Offsetof(generator{}.buf)
	for range 3 { // two draws in a row may be of two blocks
		a, b := ^rand.Uint64(), ^rand.Uint64() // so that a copy of ours isn't found
		for at := uintptr(8); at+unsafe.Sizeof(generator{}) < uintptr(limit); at += 8 {
			p := (*[2]uint64)(unsafe.Add(unsafe.Pointer(nil), at))
			if p[0] != ^a || p[1] != ^b {
				continue
			}
			for k := range uintptr(31) { // they may be any two of the block
				if at < k*8+8 {
					break
				}
				g := (*generator)(unsafe.Add(unsafe.Pointer(nil), at-k*8-first))
				if g.i == uint32(k)+2 && g.proves() {
					return g
				}
			}
		}
	}
	return nil
}

// proves says whether what was found is what is drawn from.
func (g *generator) proves() bool {
	i := g.i
	if i >= g.n || g.n > uint32(len(g.buf)) || g.c > 12 {
		return false
	}
	next := g.buf[i]
	if rand.Uint64() != next || g.i != i+1 {
		return false
	}
	var drawn [2]uint64
	for try := range drawn { // the same seed twice
		g.start([4]uint64{1, 2, 3, 4})
		drawn[try] = rand.Uint64()
	}
	return drawn[0] == drawn[1] && drawn[0] != next
}

// start has g draw from a new seed.
func (g *generator) start(seed [4]uint64) {
	g.seed, g.c, g.i = seed, 0, g.n
}

// reseed has the runtime draw other numbers than in any other call.
func reseed() {
	if runtimes == nil {
		return
	}
	var seed [4]uint64
	if wasiRandom(unsafe.Pointer(&seed), uint32(unsafe.Sizeof(seed))) == 0 {
		runtimes.start(seed)
	}
}
