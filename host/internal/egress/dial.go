package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// dial connects to the first address of an allowed decision that answers.
func (g *Gate) dial(ctx context.Context, d Decision) (*conn, error) {
	if err := g.takeSlot(); err != nil {
		return nil, err
	}
	release := func() { <-g.slots }
	ctx, cancel := context.WithTimeout(ctx, dialAllTime)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	var failure error
	for _, a := range d.Addresses {
		dialer := net.Dialer{Timeout: dialTime}
		raw, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(a, d.Port).String())
		if err == nil {
			return g.keep(raw, nil, release)
		}
		failure = err
		if ctx.Err() != nil {
			break
		}
	}
	release()
	code := abi.CodeUnavailable
	if timeout, ok := failure.(net.Error); ok && timeout.Timeout() {
		code = abi.CodeDeadlineExceeded
	}
	e := abi.Errorf(code, "%s can't be reached: %w", d.Host, failure)
	e.Retryable = true
	return nil, e
}

// takeSlot takes the place of one connection. What is only kept for later has
// to make room first.
func (g *Gate) takeSlot() error {
	for range 2 {
		select {
		case g.slots <- struct{}{}:
			return nil
		default:
		}
		for _, t := range g.transports {
			t.CloseIdleConnections()
		}
	}
	return tooMany(g.config.MaxConns)
}

// tooMany is the refusal of one more connection than there may be.
func tooMany(most int) *abi.Error {
	e := abi.Errorf(abi.CodeResourceExhausted, "%d connections are open, and that is the most", most).
		WithHint("end some, or try again later")
	e.Retryable = true
	return e
}

// decisionKey is where a request's context has its decision.
type decisionKey struct{}

// transport returns the way of requests that one rule allows. It dials what
// the request's decision says, whatever the name means by then. Bodies come as
// the origin sends them: nothing is decompressed on the way.
func (g *Gate) transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d, ok := ctx.Value(decisionKey{}).(Decision)
			if !ok || !d.Allowed {
				return nil, abi.Errorf(abi.CodeInternal, "a connection without a decision")
			}
			c, err := g.dial(ctx, d)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: g.config.RootCAs},
		TLSHandshakeTimeout:    greetTime,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        min(g.config.Idle, 90*time.Second),
		MaxIdleConnsPerHost:    8,
		MaxIdleConns:           64,
		MaxResponseHeaderBytes: 4 * abi.MaxHTTPHeaderBytes,
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}
