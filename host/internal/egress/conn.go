package egress

import (
	"net"
	"sync"
)

// A conn is a connection that its gate closes with itself, and that gives a
// place back when it is closed.
type conn struct {
	net.Conn
	proxy   *proxy // whose client's it is; nil to an origin
	release func()
	once    sync.Once
}

// keep makes a conn of raw, which is closed when the gate is, and with what p
// serves, if it is a client's. release runs once.
func (g *Gate) keep(raw net.Conn, p *proxy, release func()) (*conn, error) {
	c := &conn{Conn: raw, proxy: p}
	c.release = func() {
		g.mu.Lock()
		delete(g.conns, c)
		g.mu.Unlock()
		release()
	}
	g.mu.Lock()
	closed := g.closed
	g.conns[c] = struct{}{}
	g.mu.Unlock()
	if closed {
		_ = c.Close()
		return nil, closedError()
	}
	return c, nil
}

// closeOf closes the connections of p's clients.
func (g *Gate) closeOf(p *proxy) {
	var list []*conn
	g.mu.Lock()
	for c := range g.conns {
		if c.proxy == p {
			list = append(list, c)
		}
	}
	g.mu.Unlock() // closing a connection takes it
	for _, c := range list {
		_ = c.Close()
	}
}

// Close closes the connection. It may be called again.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}

// CloseWrite tells the other side that no more comes, where that can be said.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
