package egress

import "io"

// A Bounded reads at most Left bytes, and fails with Over where there are more.
type Bounded struct {
	From io.Reader
	Left int64
	Over error
}

// Read is one goroutine's at a time.
func (b *Bounded) Read(p []byte) (int, error) {
	// One byte more than is left tells the end from too much.
	n, err := b.From.Read(p[:min(int64(len(p)), b.Left+1)])
	if int64(n) > b.Left {
		n, err = int(b.Left), b.Over
	}
	b.Left -= int64(n)
	return n, err
}
