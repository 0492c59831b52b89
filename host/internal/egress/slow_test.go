package egress_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// A pipe is a listener whose clients are in this process, for a clock that
// isn't the wall's.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipe() *pipe { return &pipe{make(chan net.Conn), make(chan struct{})} }

func (p *pipe) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestASlowClientIsNotWaitedFor(t *testing.T) {
	for what, c := range map[string]struct {
		first  string
		answer string // of the first
		then   string // again and again, one a second
	}{
		"a silent one":            {"", "", ""},
		"a head that stops":       {"GET http://a.example/ HTTP/1.1\r\nHost:", "", ""},
		"a head that trickles":    {"GET http://a.example/ HTTP/1.1\r\n", "", "X: y\r\n"},
		"a tunnel without a word": {"CONNECT 1.1.1.1:80 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 Connection established\r\n\r\n", ""},
		"a hello that trickles":   {"CONNECT 1.1.1.1:80 HTTP/1.1\r\nHost: x\r\n\r\n\x16", "HTTP/1.1 200 Connection established\r\n\r\n", "\x03"},
		"a head inside":           {"CONNECT 1.1.1.1:80 HTTP/1.1\r\nHost: x\r\n\r\nGET", "HTTP/1.1 200 Connection established\r\n\r\n", " "},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plain := rule("*")
				plain.Schemes = []string{"http"}
				g, err := egress.New(egress.Config{Rules: []abi.HTTPRule{plain}, Record: func(egress.Decision) error { return nil }})
				if err != nil {
					t.Fatal(err)
				}
				l := newPipe()
				served := make(chan struct{})
				go func() { defer close(served); g.Serve(l) }()
				start := time.Now()
				conn := l.dial()
				ended := make(chan string)
				go func() {
					b, _ := io.ReadAll(conn)
					ended <- string(b)
				}()
				stop := make(chan struct{})
				go func() {
					tick := time.NewTicker(time.Second)
					defer tick.Stop()
					_, err := io.WriteString(conn, c.first)
					for err == nil {
						select {
						case <-tick.C:
							_, err = io.WriteString(conn, c.then)
						case <-stop:
							return
						}
					}
				}()
				got := <-ended
				if lasted := time.Since(start); lasted > 30*time.Second {
					t.Errorf("it lasted for %v", lasted)
				}
				if !strings.HasPrefix(got, c.answer) || strings.Count(got, " 200 ") > strings.Count(c.answer, " 200 ") {
					t.Errorf("the answer is %q", got)
				}
				close(stop)
				_ = conn.Close()
				_ = l.Close()
				<-served
				g.Close()
			})
		})
	}
}
