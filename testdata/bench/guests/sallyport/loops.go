//go:build wasip1

package main

import (
	"crypto/rand"
	"time"
	"unsafe"
)

// loops are ways not to end. Each is long between two of the places where a
// host might look: a turn of a loop, an import, an entry of a function.
var loops = map[string]func(){
	"spin": func() {
		for turns := uint64(1); ; turns++ {
			sum += spin(turns)
		}
	},
	"fill": func() {
		b := make([]byte, 64<<20)
		for {
			clear(b)
		}
	},
	"copy": func() {
		b := make([]byte, 128<<20)
		for {
			copy(b, b[64<<20:])
		}
	},
	"recurse": func() {
		for {
			sum += uint64(branches(1 << 30))
		}
	},
	"random": func() {
		b := make([]byte, 64<<20)
		for {
			_, _ = rand.Read(b)
		}
	},
	"sleep": func() { time.Sleep(1<<63 - 1) },
	"poll": func() {
		const n = 1 << 20
		subscriptions, events := make([]subscription, n), make([]event, n)
		for i := range subscriptions {
			subscriptions[i] = subscription{clock: 1, timeout: 1 << 62}
		}
		var got uint32
		for {
			poll(unsafe.Pointer(&subscriptions[0]), unsafe.Pointer(&events[0]), n, unsafe.Pointer(&got))
		}
	},
}

// sum keeps what is computed from being for nothing.
var sum uint64

// branches calls itself twice a level, and no loop of its own ever turns.
//
//go:noinline
func branches(level int) int {
	if level%64 == 0 && level < 1<<30-1000 {
		return 1
	}
	return branches(level-1) + branches(level-2)
}

// A subscription is WASI's, to a clock.
type subscription struct {
	_         uint64 // userdata
	_         uint64 // tag: 0 is a clock
	clock     uint32 // 1 is the monotonic one
	_         uint32
	timeout   uint64
	precision uint64
	_         uint64 // flags
}

type event [32]byte

//go:wasmimport wasi_snapshot_preview1 poll_oneoff
func poll(in, out unsafe.Pointer, n uint32, got unsafe.Pointer) uint32
