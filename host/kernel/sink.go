package kernel

import (
	"sync"

	"github.com/sallyport-dev/sallyport/abi"
)

// A sink hands outputs to a caller's function in a goroutine of its own. What
// waits there is bounded, because what ever gets in is: a sink takes as much
// text and as many blobs as a transcript keeps, and then no more. The methods
// of a nil sink do nothing.
type sink struct {
	mu          sync.Mutex
	wake        *sync.Cond
	text, blobs int64 // still to be had, bytes
	pending     []abi.Output
	closed      bool
	done        chan struct{}
}

func newSink(text, blobs int64, deliver func(abi.Output)) *sink {
	s := &sink{text: text, blobs: blobs, done: make(chan struct{})}
	s.wake = sync.NewCond(&s.mu)
	go s.run(deliver)
	return s
}

func (s *sink) run(deliver func(abi.Output)) {
	defer close(s.done)
	for {
		s.mu.Lock()
		for len(s.pending) == 0 && !s.closed {
			s.wake.Wait()
		}
		batch := s.pending
		s.pending = nil
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, o := range batch {
			deliver(o)
		}
	}
}

func (s *sink) stream(name, text string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text = text[:fitting([]byte(text), s.text-itemCost)]
	if text == "" {
		return
	}
	s.text -= jsonLen([]byte(text)) + itemCost
	s.add(abi.Output{Type: abi.OutputStream, Name: name, Text: text})
}

func (s *sink) show(o abi.Output) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cost := itemCost + dataCost(o.Data)
	if cost > s.text {
		return
	}
	s.text -= cost
	if n := blobBytes(o.Blobs); n <= s.blobs {
		s.blobs -= n
	} else {
		o.Blobs = nil
	}
	s.add(o)
}

func (s *sink) add(o abi.Output) {
	s.pending = append(s.pending, o)
	s.wake.Signal()
}

func (s *sink) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.wake.Signal()
	s.mu.Unlock()
	<-s.done
}
