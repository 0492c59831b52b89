package egress

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// Serve is a forward proxy on l, as the package says. Refusals are answered
// with 403, what can't be understood with 400, and failures with 502, 503 and
// 504; the body is the message and what to do.
//
// Serve lasts until l is closed or the gate is. It then ends all that came
// through l, tunnels, WebSockets and answers under way, whatever their origins
// do, and returns when nothing of it is left, which is at once. It closes l.
func (g *Gate) Serve(l net.Listener) {
	p := &proxy{gate: g, tunnels: newQueue(l.Addr())}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	p.errors = g.config.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
	server := &http.Server{
		Handler:                      p,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            greetTime,
		IdleTimeout:                  g.config.Idle,
		MaxHeaderBytes:               abi.MaxHTTPHeaderBytes,
		ErrorLog:                     p.errors,
		Protocols:                    new(http.Protocols),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if plain, ok := c.(*plainTunnel); ok {
				return context.WithValue(ctx, tunnelKey{}, plain.target)
			}
			return ctx
		},
	}
	server.Protocols.SetHTTP1(true)
	server.ConnState = func(c net.Conn, state http.ConnState) {
		switch _, handedOn := c.(*plainTunnel); {
		case state == http.StateNew && !handedOn: // whoever hands one on has counted it
			p.open.Add(1)
		case state == http.StateClosed, state == http.StateHijacked:
			p.open.Done()
		}
	}
	if !g.begin(server) {
		_ = l.Close()
		return
	}
	defer g.finish(server)
	var inner sync.WaitGroup
	inner.Go(func() { _ = server.Serve(p.tunnels) })
	err := server.Serve(&doorway{l, p})
	if !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
		g.config.Logger.Error("the proxy's listener failed", "error", err)
	}
	cancel(closedError())
	_ = server.Close()
	inner.Wait() // no connection comes after that
	g.closeOf(p)
	p.open.Wait()
}

// begin notes that a server serves, unless the gate is closed.
func (g *Gate) begin(server *http.Server) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.served[server] = struct{}{}
	g.serves.Add(1)
	return true
}

func (g *Gate) finish(server *http.Server) {
	g.mu.Lock()
	delete(g.served, server)
	g.mu.Unlock()
	g.serves.Done()
}

// A proxy serves one listener.
type proxy struct {
	gate    *Gate
	tunnels *queue         // of tunnels with plain HTTP in them
	open    sync.WaitGroup // connections and what handles them
	errors  *log.Logger
}

// A doorway is a listener whose connections are bounded in number, and closed
// with what its proxy serves.
type doorway struct {
	net.Listener
	proxy *proxy
}

// Accept turns away those that there is no place for: waiting for one, it
// wouldn't hear that the listener is closed.
func (d *doorway) Accept() (net.Conn, error) {
	g := d.proxy.gate
	for {
		raw, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case g.clients <- struct{}{}:
		default:
			turnAway(raw, tooMany(cap(g.clients)))
			continue
		}
		c, err := g.keep(raw, d.proxy, func() { <-g.clients })
		if err != nil {
			return nil, net.ErrClosed
		}
		return c, nil
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.open.Add(1)
	defer p.open.Done()
	if r.ContentLength != 0 { // what is left of the body isn't waited for
		defer func() {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(greetTime))
		}()
	}
	inside, isTunnel := r.Context().Value(tunnelKey{}).(Target)
	switch {
	case isTunnel:
		p.serveInside(w, r, inside)
	case r.Method == http.MethodConnect:
		p.connect(w, r)
	case !r.URL.IsAbs():
		refuse(w, r, invalid("this is a proxy, and the request is for a server").
			WithHint("use it as a forward proxy: the whole url in the request line, or CONNECT"))
	case r.URL.Scheme == "https" || r.URL.Scheme == "wss":
		refuse(w, r, invalid("the proxy doesn't speak TLS for its clients").WithHint("use CONNECT for %s", r.URL.Scheme))
	default:
		if _, err := ParseTarget(r.RequestURI); err != nil {
			_, err = p.gate.refuse(Decision{Target: Target{Host: r.URL.Host, Method: r.Method}, Rule: -1}, err)
			refuse(w, r, err)
			return
		}
		p.forward(w, r)
	}
}

// forward sends a request on, and its response back.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request) {
	f := p.gate.flow(r.Context())
	defer f.end()
	// When the flow ends early, nothing may wait for the client any more; a
	// client that reads still gets the reason.
	control := http.NewResponseController(w)
	defer context.AfterFunc(f.ctx, func() {
		_ = control.SetReadDeadline(time.Unix(1, 0))
		_ = control.SetWriteDeadline(time.Now().Add(time.Second))
	})()
	forwarder := httputil.ReverseProxy{
		Transport:  f,
		BufferPool: &pieces,
		ErrorLog:   p.errors,
		Rewrite: func(pr *httputil.ProxyRequest) {
			// These are the client's, and the origin's to judge.
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if lines, ok := pr.In.Header[name]; ok {
					pr.Out.Header[name] = lines
				}
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if r.ContentLength != 0 && !f.sent.Load() { // nor does an answer wait for it
				resp.Header.Set("Connection", "close")
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if f.ctx.Err() != nil {
				w.Header().Set("Connection", "close")
			}
			refuse(w, r, f.failure("the request failed", err))
		},
	}
	forwarder.ServeHTTP(w, r.WithContext(f.ctx))
}
