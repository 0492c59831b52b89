package egress

import (
	"cmp"
	"context"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// Defaults of Config.
const (
	DefaultMaxTime  = time.Hour
	DefaultMaxBytes = 4 << 30
	DefaultMaxConns = 256
	DefaultIdle     = 5 * time.Minute
)

// What isn't configured.
const (
	resolveTime = 10 * time.Second // of one look-up
	dialTime    = 10 * time.Second // to one address
	dialAllTime = 30 * time.Second // to all addresses of a name
	greetTime   = 10 * time.Second // for a client's head or first message, and for a TLS handshake
)

// Config configures a Gate.
type Config struct {
	// Rules are what may be reached; none refuses everything.
	Rules []abi.HTTPRule
	// MaxTime bounds one exchange (a request and its response) and one tunnel;
	// zero is DefaultMaxTime.
	MaxTime time.Duration
	// MaxBytes bounds the bodies of one exchange, and what one tunnel carries,
	// each way; zero is DefaultMaxBytes.
	MaxBytes int64
	// MaxConns bounds the connections to origins that are open at a time; the
	// proxy's clients may have twice as many to it. Zero is DefaultMaxConns.
	MaxConns int
	// Idle bounds how long nothing may come or go in an exchange or a tunnel;
	// zero is DefaultIdle.
	Idle time.Duration
	// Resolver resolves names; nil is the system's, asked for absolute
	// names, but for those without a dot.
	Resolver Resolver
	// Record is told every decision before it has an effect, by several
	// goroutines at once. What it fails to record isn't allowed, and its
	// *abi.Error is what the asker is told, unless it was refused anyway. Nil
	// refuses everything.
	Record func(Decision) error
	// RootCAs sign the certificates of origins that the round tripper talks to;
	// nil is the system's.
	RootCAs *x509.CertPool
	// Logger gets what goes wrong besides; nil logs nothing.
	Logger hclog.Logger
}

// A Resolver resolves names as net.Resolver does. It ends when ctx does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// systemResolver asks for names as they are, without the search list of the
// machine, which would make another name of one that doesn't exist. A name
// without a dot is the machine's own, such as localhost or a neighbouring
// container's, and means what it means there.
type systemResolver struct{}

func (systemResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if strings.Contains(host, ".") {
		host += "."
	}
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// A Gate decides on what goes out and carries it. It may be used by several
// goroutines at once. The caller ends it with Close.
type Gate struct {
	config Config // with its defaults, its rules canonical

	ctx        context.Context // ends with the gate
	cancel     context.CancelCauseFunc
	transports []*http.Transport // one a rule
	slots      chan struct{}     // one an open connection to an origin
	clients    chan struct{}     // one a client's connection

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	served map[*http.Server]struct{}
	serves sync.WaitGroup
}

// New returns a Gate. A rule that can't be read is invalid_argument.
func New(c Config) (*Gate, error) {
	if c.MaxTime < 0 || c.MaxBytes < 0 || c.MaxConns < 0 || c.Idle < 0 {
		return nil, invalid("a bound of the gate is negative")
	}
	rules, err := canonicalRules(c.Rules)
	if err != nil {
		return nil, err
	}
	c.Rules = rules
	c.MaxTime = cmp.Or(c.MaxTime, DefaultMaxTime)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.MaxConns = cmp.Or(c.MaxConns, DefaultMaxConns)
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	if c.Resolver == nil {
		c.Resolver = systemResolver{}
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	g := &Gate{
		config:  c,
		slots:   make(chan struct{}, c.MaxConns),
		clients: make(chan struct{}, 2*c.MaxConns),
		conns:   map[*conn]struct{}{},
		served:  map[*http.Server]struct{}{},
	}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	for range rules {
		g.transports = append(g.transports, g.transport())
	}
	return g, nil
}

// canonicalRules returns rules with their hosts and addresses as decisions
// compare them.
func canonicalRules(rules []abi.HTTPRule) ([]abi.HTTPRule, error) {
	list := make([]abi.HTTPRule, len(rules))
	for i, r := range rules {
		if len(r.Hosts) == 0 {
			return nil, invalid("rule %d names no host", i+1).WithHint("name one, or %q", abi.AnyHost)
		}
		for _, scheme := range r.Schemes {
			if abi.SchemePort(scheme) == 0 {
				return nil, invalid("rule %d: the scheme %q is neither http nor https", i+1, brief(scheme)).WithHint("use http or https")
			}
		}
		hosts := make([]string, len(r.Hosts))
		for j, h := range r.Hosts {
			pattern, err := canonicalPattern(h)
			if err != nil {
				return nil, invalid("rule %d: %s", i+1, abi.AsError(err).Message)
			}
			hosts[j] = pattern
		}
		addresses := make([]netip.Prefix, len(r.Addresses))
		for j, p := range r.Addresses {
			if !p.IsValid() {
				return nil, invalid("rule %d: address range %d is not valid", i+1, j+1)
			}
			if p.Addr().Is4In6() && p.Bits() >= 96 {
				p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
			}
			addresses[j] = p.Masked()
		}
		r.Hosts, r.Addresses = hosts, addresses
		r.Schemes, r.Ports, r.Methods = slices.Clone(r.Schemes), slices.Clone(r.Ports), slices.Clone(r.Methods)
		list[i] = r
	}
	return list, nil
}

func canonicalPattern(pattern string) (string, error) {
	if pattern == abi.AnyHost {
		return pattern, nil
	}
	parent, below := strings.CutPrefix(pattern, "*.")
	host, err := canonicalHost(parent)
	if err != nil || !below {
		return host, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "", invalid("host %q: an address has no names below it", brief(pattern))
	}
	return "*." + host, nil
}

// closedError ends what goes through a closed gate.
func closedError() *abi.Error {
	return abi.Errorf(abi.CodeUnavailable, "the gate to the network is closed")
}

// Close ends everything that goes through the gate, and returns when all of its
// Serves have. It may be called again.
func (g *Gate) Close() {
	g.cancel(closedError())
	g.mu.Lock()
	g.closed = true
	servers, conns := slices.Collect(maps.Keys(g.served)), slices.Collect(maps.Keys(g.conns))
	g.mu.Unlock() // closing a connection takes it
	for _, server := range servers {
		_ = server.Close()
	}
	for _, c := range conns {
		_ = c.Close()
	}
	for _, t := range g.transports {
		t.CloseIdleConnections()
	}
	g.serves.Wait()
}
