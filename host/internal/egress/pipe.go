package egress

import (
	"context"
	"io"
	"sync"
)

// Much at a time passes fastest, also against splice between loopback sockets;
// but who waits doesn't wait with a large piece in hand.
const (
	pieceBytes = 256 << 10
	sipBytes   = 16 << 10
)

// pieces are the buffers of what is copied.
var pieces = piecePool{sync.Pool{New: func() any { return new([pieceBytes]byte) }}}

// A piecePool is a httputil.BufferPool.
type piecePool struct{ pool sync.Pool }

func (p *piecePool) Get() []byte  { return p.pool.Get().(*[pieceBytes]byte)[:] }
func (p *piecePool) Put(b []byte) { p.pool.Put((*[pieceBytes]byte)(b)) }

// pipe carries bytes both ways until both have ended or f has. said is what was
// read of the client before. It closes both.
func (f *flow) pipe(client, origin *conn, said []byte) {
	closeBoth := func() {
		_ = client.Close()
		_ = origin.Close()
	}
	defer context.AfterFunc(f.ctx, closeBoth)()
	defer closeBoth()
	limit := f.gate.config.MaxBytes
	if int64(len(said)) > limit {
		return
	}
	if _, err := origin.Write(said); err != nil {
		return
	}
	f.progress()
	var ways sync.WaitGroup
	carry := func(to, from *conn, left int64) {
		if !f.carry(to, from, left) || to.CloseWrite() != nil {
			closeBoth()
		}
	}
	ways.Go(func() { carry(origin, client, limit-int64(len(said))) })
	carry(client, origin, limit)
	ways.Wait()
}

// carry copies one way, left bytes at most, and says whether all there was of
// it passed.
func (f *flow) carry(to io.Writer, from io.Reader, left int64) bool {
	sip := make([]byte, sipBytes)
	var piece []byte // nil while little comes
	defer func() {
		if piece != nil {
			pieces.Put(piece)
		}
	}()
	for {
		into := sip
		if piece != nil {
			into = piece
		}
		n, err := from.Read(into)
		if int64(n) > left {
			return false
		}
		left -= int64(n)
		if n > 0 {
			f.progress()
			if _, err := to.Write(into[:n]); err != nil {
				return false
			}
			f.progress()
		}
		switch {
		case err != nil:
			return err == io.EOF
		case piece == nil && n == sipBytes:
			piece = pieces.Get()
		case piece != nil && n < sipBytes:
			pieces.Put(piece)
			piece = nil
		}
	}
}
