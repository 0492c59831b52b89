package egress

import (
	"net"
	"sync"
)

// A conn is a connection that its gate closes with itself, and that gives a
// place back when it is closed.
type conn struct {
	net.Conn
	release func()
	once    sync.Once
}

// keep makes a conn of raw, which is closed when the gate is. release runs once.
func (g *Gate) keep(raw net.Conn, release func()) (*conn, error) {
	c := &conn{Conn: raw}
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
