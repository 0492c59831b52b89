//go:build !linux

package engine

import "fmt"

// pages are an image's bytes. Where the system has no private mappings of a
// file in memory that this package knows of, every instance copies them: hosts
// run on Linux, and elsewhere a plugin is described and tested.
type pages struct{ view []byte }

// A mapping is a memory's bytes.
type mapping struct{ b []byte }

func (i *image) hold(fill func(write func(at int64, b []byte) error) error) error {
	i.view = make([]byte, i.size)
	return fill(func(at int64, b []byte) error {
		copy(i.view[at:], b)
		return nil
	})
}

func (i *image) drop() { i.view = nil }

func (i *image) newMemory(limit uint64) (*memory, error) {
	if i.size > limit {
		return nil, fmt.Errorf("the plugin has %d bytes of memory once it is initialised, the limit is %d", i.size, limit)
	}
	return &memory{image: i, limit: limit, mapping: mapping{append([]byte(nil), i.view...)}}, nil
}

func (m *memory) extend(size uint64) []byte {
	if size > uint64(cap(m.b)) {
		grown := make([]byte, size, min(m.limit, max(size, size/4*5)))
		copy(grown, m.b)
		m.b = grown
	}
	m.b = m.b[:max(uint64(len(m.b)), size)]
	return m.b[:size:size]
}

func (m *memory) release() { m.b = nil }

func (m *memory) reset() error {
	copy(m.b, m.image.view)
	return nil
}
