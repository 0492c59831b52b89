package egress_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// clientHello returns the first message of a TLS client.
func clientHello(t testing.TB, serverName string) []byte {
	t.Helper()
	var said sayer
	_ = tls.Client(&said, &tls.Config{ServerName: serverName, InsecureSkipVerify: true}).Handshake()
	if len(said.b) == 0 {
		t.Fatal("the client said nothing")
	}
	return said.b
}

// A sayer is a connection that keeps what is said and has no answer.
type sayer struct {
	net.Conn
	b []byte
}

func (s *sayer) Write(p []byte) (int, error) { s.b = append(s.b, p...); return len(p), nil }
func (s *sayer) Read([]byte) (int, error)    { return 0, io.EOF }
func (s *sayer) Close() error                { return nil }

// greeter starts a server on loopback that reads one piece of each client and
// then does what it is told. It ends with the test.
func greeter(t testing.TB, then func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 64<<10)); err == nil {
					then(c)
				}
			}()
		}
	}()
	return portOf(l.Addr())
}
