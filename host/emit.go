package host

import (
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// newEmitter numbers and dates a call's events and hands them to emit one at a
// time, in order.
func newEmitter(emit func(abi.Event)) func(abi.Event) {
	if emit == nil {
		return func(abi.Event) {}
	}
	var (
		mu  sync.Mutex
		seq int64
	)
	return func(e abi.Event) {
		mu.Lock()
		defer mu.Unlock()
		seq++
		e.Seq, e.TS = seq, time.Now().UTC().Format(time.RFC3339Nano)
		emit(e)
	}
}
