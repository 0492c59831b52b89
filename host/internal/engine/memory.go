package engine

import "github.com/tetratelabs/wazero/experimental"

// maxMemory is the largest memory that the runtime has right: of one page
// more, all that wasm32 addresses, it takes the size to be zero.
const maxMemory = 4<<30 - wasmPage

// memoryLimit is a plugin's limit in bytes.
func memoryLimit(mib int) uint64 { return min(uint64(mib)<<20, maxMemory) }

// memory is an instance's linear memory. It holds the limit itself, where the
// runtime could do so too, because only it can tell afterwards that growth was
// refused, and how large the memory was.
type memory struct {
	limit   uint64
	size    uint64
	refused bool // the guest asked for more than the limit
	b       []byte
}

// Allocate makes m the memory of the one instance it is for.
func (m *memory) Allocate(_, most uint64) experimental.LinearMemory {
	m.limit = min(m.limit, most)
	return m
}

// Reallocate returns the memory with size bytes, the new ones zero, and nil
// beyond the limit. Nothing is ever taken away, so what lies between length
// and capacity was never written.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	if size > uint64(cap(m.b)) {
		grown := make([]byte, size, min(m.limit, max(size, size/4*5)))
		copy(grown, m.b)
		m.b = grown
	}
	m.b = m.b[:size]
	m.size = size
	return m.b
}

// Free drops the bytes and keeps what is known of them.
func (m *memory) Free() { m.b = nil }
