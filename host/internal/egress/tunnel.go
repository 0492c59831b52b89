package egress

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// connect opens a tunnel: the target is decided on and dialled before the
// client hears that it may go on, and what it says first is looked at before
// anything of it passes.
func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	g := p.gate
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		refuse(w, r, invalid("a CONNECT with a body"))
		return
	}
	f := g.flow(r.Context())
	defer f.end()
	d, err := p.decideTunnel(f.ctx, r.RequestURI)
	if err != nil {
		refuse(w, r, err)
		return
	}
	var origin *conn
	if d.Scheme == "https" {
		if origin, err = g.dial(f.ctx, d); err != nil {
			refuse(w, r, f.failure("the tunnel failed", err))
			return
		}
		defer origin.Close()
	}
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, r, abi.AsError(err))
		return
	}
	client := raw.(*conn)
	handedOn := false
	defer func() {
		if !handedOn {
			_ = client.Close()
		}
	}()
	defer context.AfterFunc(f.ctx, func() { _ = client.SetDeadline(time.Unix(1, 0)) })()
	_ = client.SetDeadline(time.Now().Add(greetTime))
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	said, err := readGreeting(io.MultiReader(io.LimitReader(buffered, int64(buffered.Reader.Buffered())), client))
	if err != nil {
		if said.tls {
			_, _ = client.Write(alertDecode)
		}
		return
	}
	_ = client.SetDeadline(time.Time{})
	if said.tls {
		if err := p.agree(d, said.serverName); err != nil {
			_, _ = client.Write(alertDenied)
			return
		}
		f.pipe(client, origin, said.read)
		return
	}
	plain := &plainTunnel{conn: client, said: said.read, target: d.Target}
	plain.target.Scheme = "http"
	if origin != nil {
		_ = origin.Close()
	}
	p.open.Add(1)
	if handedOn = p.tunnels.push(plain); !handedOn {
		p.open.Done()
	}
}

// Alerts of TLS, whole records.
var (
	alertDenied = []byte{21, 3, 3, 0, 2, 2, 49} // access_denied
	alertDecode = []byte{21, 3, 3, 0, 2, 2, 50} // decode_error
)

// decideTunnel decides on the target of a CONNECT: as https if some rule covers
// it so, else as http. What is inside isn't known yet.
func (p *proxy) decideTunnel(ctx context.Context, authority string) (Decision, error) {
	host, port, err := splitAuthority(authority, 0)
	if err != nil {
		return p.gate.refuse(Decision{Target: Target{Scheme: "https", Host: authority}, Rule: -1}, err)
	}
	t := Target{Scheme: "https", Host: host, Port: port}
	if plain := (Target{Scheme: "http", Host: host, Port: port}); !p.gate.covers(t) && p.gate.covers(plain) {
		t = plain
	}
	return p.gate.Decide(ctx, t)
}

// agree says whether TLS with a server name may pass in a tunnel that d allowed.
func (p *proxy) agree(d Decision, serverName string) error {
	refused := Decision{Target: d.Target, Addresses: d.Addresses, Rule: -1}
	refused.Scheme = "https"
	if d.Scheme != "https" {
		_, err := p.gate.refuse(refused, denied("no rule allows "+refused.Target.String(), "http.allow: "+refused.Target.String()))
		return err
	}
	if _, err := netip.ParseAddr(d.Host); err == nil {
		if serverName == "" {
			return nil
		}
	} else if name, err := canonicalHost(serverName); err == nil && name == d.Host {
		return nil
	}
	e := abi.Errorf(abi.CodePermissionDenied, "the tunnel is to %s, and the server name in it is %q", d.Target, brief(serverName)).
		WithHint("open a tunnel to the name that is meant")
	_, err := p.gate.refuse(refused, e)
	return err
}

// tunnelKey is where the context of a connection has the Target of its tunnel.
type tunnelKey struct{}

// serveInside serves a request that came in plain HTTP through a tunnel.
func (p *proxy) serveInside(w http.ResponseWriter, r *http.Request, inside Target) {
	inside.Method = r.Method
	host, port, err := splitAuthority(r.Host, abi.SchemePort("http"))
	switch {
	case r.Method == http.MethodConnect:
		refuse(w, r, invalid("a tunnel in a tunnel"))
		return
	case r.URL.IsAbs() && r.URL.Scheme != "http", r.URL.User != nil, r.URL.Opaque != "":
		err = invalid("the url in the tunnel to %s isn't one of http", inside.authority())
	case err == nil && (host != inside.Host || port != inside.Port):
		err = abi.Errorf(abi.CodePermissionDenied, "the tunnel is to %s, and the Host in it is %q", inside.authority(), brief(r.Host)).
			WithHint("open a tunnel to the host that is meant")
	}
	if err != nil {
		_, err = p.gate.refuse(Decision{Target: inside, Rule: -1}, err)
		refuse(w, r, err)
		return
	}
	r.URL.Scheme, r.URL.Host = "http", inside.authority()
	p.forward(w, r)
}

// A plainTunnel is a client's connection after its CONNECT, with what was read
// of it already.
type plainTunnel struct {
	*conn
	said   []byte
	target Target
}

func (t *plainTunnel) Read(b []byte) (int, error) {
	if len(t.said) > 0 {
		n := copy(b, t.said)
		t.said = t.said[n:]
		return n, nil
	}
	return t.conn.Read(b)
}

// A queue is a listener for connections that are there already.
type queue struct {
	address net.Addr
	waiting chan net.Conn
	done    chan struct{}
	close   func()
}

func newQueue(address net.Addr) *queue {
	q := &queue{address: address, waiting: make(chan net.Conn), done: make(chan struct{})}
	q.close = sync.OnceFunc(func() { close(q.done) })
	return q
}

// push hands a connection over, unless the queue is closed.
func (q *queue) push(c net.Conn) bool {
	select {
	case q.waiting <- c:
		return true
	case <-q.done:
		return false
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.waiting:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error   { q.close(); return nil }
func (q *queue) Addr() net.Addr { return q.address }
