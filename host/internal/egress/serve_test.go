package egress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// atOnce bounds what mustn't wait for anybody, far below any bound of a gate.
const atOnce = 5 * time.Second

// serveOn starts g's proxy on a listener of its own, and returns it with what
// is closed when Serve returns.
func serveOn(t testing.TB, g *egress.Gate) (net.Listener, <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	return l, done
}

func TestServeEndsWhatCameThroughItsListener(t *testing.T) {
	heard := make(chan struct{}, 1)
	release := make(chan struct{})
	defer close(release)
	silent := greeter(t, func(net.Conn) { // and deaf to the client's end
		heard <- struct{}{}
		<-release
	})
	slow := origin(t, drip(1, nil))
	web := origin(t, echo)
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, MaxConns: 4})
	other := serve(t, g)
	socket := "GET %s HTTP/1.1\r\nHost: 127.0.0.1:" + web + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: key\r\n\r\n"
	for what, begin := range map[string]func(t *testing.T, proxy string) net.Conn{
		"nothing": func(t *testing.T, proxy string) net.Conn { return dialTest(t, proxy) },
		"half a head": func(t *testing.T, proxy string) net.Conn {
			c := dialTest(t, proxy)
			_, _ = io.WriteString(c, "GET http://127.0.0.1:")
			return c
		},
		"a kept connection": func(t *testing.T, proxy string) net.Conn {
			c := dialTest(t, proxy)
			_, _ = fmt.Fprintf(c, "GET http://127.0.0.1:%s/ HTTP/1.1\r\nHost: x\r\n\r\n", web)
			answer(t, bufio.NewReader(c))
			return c
		},
		"a tunnel without a word": func(t *testing.T, proxy string) net.Conn { return open(t, proxy, "127.0.0.1:"+silent) },
		"a tunnel to a silent origin": func(t *testing.T, proxy string) net.Conn {
			tu := open(t, proxy, "127.0.0.1:"+silent)
			_, _ = tu.Write(clientHello(t, ""))
			<-heard
			return tu
		},
		"a tunnel whose client has left": func(t *testing.T, proxy string) net.Conn {
			tu := open(t, proxy, "127.0.0.1:"+silent)
			_, _ = tu.Write(clientHello(t, ""))
			<-heard
			_ = tu.Close()
			return nil
		},
		"plain HTTP in a tunnel": func(t *testing.T, proxy string) net.Conn {
			tu := open(t, proxy, "127.0.0.1:"+web)
			exchange2(t, tu, "GET / HTTP/1.1\r\nHost: 127.0.0.1:"+web+"\r\n\r\n")
			return tu
		},
		"a request without an answer": func(t *testing.T, proxy string) net.Conn {
			c := dialTest(t, proxy)
			_, _ = fmt.Fprintf(c, "GET http://127.0.0.1:%s/ HTTP/1.1\r\nHost: x\r\n\r\n", silent)
			<-heard
			return c
		},
		"a slow download": func(t *testing.T, proxy string) net.Conn {
			c := dialTest(t, proxy)
			_, _ = fmt.Fprintf(c, "GET http://127.0.0.1:%s/ HTTP/1.1\r\nHost: x\r\n\r\n", slow)
			begun(t, c, http.StatusOK)
			return c
		},
		"a WebSocket": func(t *testing.T, proxy string) net.Conn {
			c := dialTest(t, proxy)
			_, _ = fmt.Fprintf(c, socket, "http://127.0.0.1:"+web+"/")
			begun(t, c, http.StatusSwitchingProtocols)
			return c
		},
		"a WebSocket in a tunnel": func(t *testing.T, proxy string) net.Conn {
			tu := open(t, proxy, "127.0.0.1:"+web)
			_, _ = fmt.Fprintf(tu, socket, "/")
			begun(t, tu, http.StatusSwitchingProtocols)
			return tu
		},
		"more clients than have a place": func(t *testing.T, proxy string) net.Conn {
			for range 20 {
				dialTest(t, proxy)
			}
			return dialTest(t, proxy)
		},
	} {
		t.Run(what, func(t *testing.T) {
			l, done := serveOn(t, g)
			c := begin(t, l.Addr().String())
			_ = l.Close()
			select {
			case <-done:
			case <-time.After(atOnce):
				t.Fatalf("Serve goes on\n%s", stacks())
			}
			if c != nil {
				if _, err := io.Copy(io.Discard, c); isTimeout(err) {
					t.Errorf("the client's connection: %v", err)
				}
			}
			waitFor(t, "what was served to end", func() bool {
				all := stacks()
				return !strings.Contains(all, "egress.(*flow)") && !strings.Contains(all, "egress.(*proxy).ServeHTTP")
			})
		})
	}
	if status, body := exchange(t, other, "GET http://127.0.0.1:"+web+"/ HTTP/1.1\r\nHost: x\r\n\r\n"); status != http.StatusUpgradeRequired {
		t.Errorf("through another listener: %d %s", status, body)
	}
}

// begun waits for the head of an answer that has no end.
func begun(t *testing.T, c net.Conn, status int) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%v, %v", resp, err)
	}
}
