package proc

import (
	"strings"
	"sync"
)

// A tail keeps the last bytes written to it.
type tail struct {
	mu    sync.Mutex
	bound int
	data  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, b[max(0, len(b)-t.bound):]...)
	// Cut seldom: the copy is paid once in a bound's worth of bytes.
	if len(t.data) > 2*t.bound {
		t.data = append(t.data[:0], t.data[len(t.data)-t.bound:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.data[max(0, len(t.data)-t.bound):]), "�")
}
