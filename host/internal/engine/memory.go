package engine

import "github.com/tetratelabs/wazero/experimental"

const wasmPage = 64 << 10

// maxMemory is the largest memory that the runtime has right: of one page
// more, all that wasm32 addresses, it takes the size to be zero.
const maxMemory = 4<<30 - wasmPage

// memoryLimit is a plugin's limit in bytes, a whole number of pages.
func memoryLimit(mib int) uint64 { return min(uint64(mib)<<20, maxMemory) }

// memory is an instance's linear memory: a reservation of all that it may
// grow to, which begins as a copy of an image's bytes. It holds the limit
// itself, where the runtime could do so too, because only it can tell
// afterwards that growth was refused. Nothing is read through it once its
// module is closed: its bytes are gone then.
type memory struct {
	image   *image
	limit   uint64
	size    uint64
	refused bool // the guest asked for more than the limit

	mapping // the bytes, as the system keeps them
}

// Allocate makes m the memory of the one instance it is for.
func (m *memory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate returns the memory with size bytes, and nil beyond the limit.
// Nothing is ever taken away, so what lies behind size was never written.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	b := m.extend(size)
	if b != nil {
		m.size = size
	}
	return b
}

// Free gives the bytes back.
func (m *memory) Free() { m.release() }

// grew says whether the memory is larger than its image.
func (m *memory) grew() bool { return m.size > m.image.size }
