package egress

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// maxGreeting bounds a ClientHello, its records' heads included.
const maxGreeting = 64 << 10

// A greeting is what a client says first in a tunnel.
type greeting struct {
	read       []byte // all that was read of it
	tls        bool   // it is a ClientHello; else it may be anything
	serverName string // of a ClientHello, as it stands there
}

// readGreeting reads until it can say what a client wants. The caller bounds
// the time. Its error leaves read what it is.
func readGreeting(r io.Reader) (greeting, error) {
	rec := &recorder{from: r}
	if err := rec.more(4096); err != nil {
		return greeting{}, err
	}
	const recordOfHandshake = 22
	if rec.read[0] != recordOfHandshake {
		return greeting{read: rec.read}, nil
	}
	g := greeting{tls: true}
	understood := errors.New("enough was read")
	err := tls.Server(rec, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		g.serverName = hello.ServerName
		return nil, understood
	}}).Handshake()
	g.read = rec.read
	if errors.Is(err, understood) {
		return g, nil
	}
	return g, err
}

// A recorder is a connection for crypto/tls that keeps what is read and sends
// nothing.
type recorder struct {
	net.Conn // nil: crypto/tls asks for nothing else in a handshake without a context
	from     io.Reader
	read     []byte
	given    int
}

// more reads some more, at most n bytes.
func (r *recorder) more(n int) error {
	n = min(n, maxGreeting-len(r.read))
	if n == 0 {
		return errors.New("the first message is too long")
	}
	start := len(r.read)
	r.read = append(r.read, make([]byte, n)...)
	got, err := r.from.Read(r.read[start:])
	r.read = r.read[:start+got]
	if got > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (r *recorder) Read(p []byte) (int, error) {
	if r.given == len(r.read) {
		if err := r.more(len(p)); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.read[r.given:])
	r.given += n
	return n, nil
}

func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }
func (r *recorder) Close() error                { return nil }
