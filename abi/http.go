package abi

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An HTTPScope allows requests to other hosts. The host resolves names itself
// and refuses addresses that aren't public, whatever their name, unless a rule
// has them in Addresses.
type HTTPScope struct {
	// Allow are the rules. A request passes when one of them covers it; so does
	// each redirect.
	Allow []HTTPRule `json:"allow"`
	// Secrets are what the host adds to requests. The plugin never sees them.
	Secrets []HTTPSecret `json:"secrets,omitempty"`
	// MaxTime bounds one request with its redirects and its body; zero leaves
	// the host's default.
	MaxTime Duration `json:"max_time,omitempty"`
	// MaxBytes bounds the body of one response; zero leaves the host's default.
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// An HTTPRule covers a request when each of its fields does.
type HTTPRule struct {
	// Hosts are names ("api.example.com"), all names below one
	// ("*.example.com", which isn't example.com itself), addresses
	// ("192.0.2.1", "2001:db8::1") or AnyHost. Required.
	Hosts []string `json:"hosts"`
	// Schemes are http and https; empty is https. WebSockets count as those.
	Schemes []string `json:"schemes,omitempty"`
	// Ports are ports and ranges of them; empty is the scheme's own, 80 or 443.
	Ports []PortRange `json:"ports,omitempty"`
	// Methods are upper-case; AnyMethod is all, empty is GET and HEAD. Inside
	// TLS that passes through the host's proxy no method is visible, and none
	// is checked.
	Methods []string `json:"methods,omitempty"`
	// Addresses are prefixes ("10.1.0.0/16") that aren't public and may be
	// reached by this rule all the same.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
}

// An HTTPSecret is a header that the host adds to requests over https to some
// hosts. Its value is kept by the host under Name.
type HTTPSecret struct {
	Name   string   `json:"name"`             // of the value, in the host's keeping; [a-z0-9_-]
	Header string   `json:"header"`           // such as Authorization
	Prefix string   `json:"prefix,omitempty"` // put before the value, such as "Bearer "
	Hosts  []string `json:"hosts"`            // as in HTTPRule
}

// What stands for all of a kind.
const (
	AnyHost   = "*"
	AnyMethod = "*"
	// AnySecret may stand for the name and the header of a secret in a manifest
	// whose plugin leaves them to its operator. No grant has it.
	AnySecret = "*"
)

// Bounds of an HTTPScope.
const (
	MaxHTTPRules = 64 // and as many hosts, ports and methods in each
	MaxHostBytes = 253
)

// MatchHost says whether a pattern of HTTPRule.Hosts covers a host: a name in
// lower-case ASCII without a final dot, or an address without brackets.
func MatchHost(pattern, host string) bool {
	if pattern == AnyHost || pattern == host {
		return true
	}
	parent, ok := strings.CutPrefix(pattern, "*.")
	if !ok || !strings.HasSuffix(host, "."+parent) {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err != nil
}

// A PortRange is one port or a range of them, written "443" or "8000-8099".
type PortRange struct{ First, Last uint16 }

// Contains says whether port is in r.
func (r PortRange) Contains(port uint16) bool { return r.First <= port && port <= r.Last }

func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// MarshalText writes r as String does.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *PortRange) UnmarshalText(b []byte) error {
	first, last, isRange := strings.Cut(string(b), "-")
	if !isRange {
		last = first
	}
	low, errLow := strconv.ParseUint(first, 10, 16)
	high, errHigh := strconv.ParseUint(last, 10, 16)
	if errLow != nil || errHigh != nil || low == 0 || low > high {
		return fmt.Errorf("port %q: use a port from 1 to 65535, or a range such as 8000-8099", b)
	}
	*r = PortRange{uint16(low), uint16(high)}
	return nil
}

// WithDefaults returns r with what its empty fields stand for.
func (r HTTPRule) WithDefaults() HTTPRule {
	if len(r.Schemes) == 0 {
		r.Schemes = []string{"https"}
	}
	if len(r.Methods) == 0 {
		r.Methods = []string{"GET", "HEAD"}
	}
	return r
}

// Covers says whether r covers a request, its address aside. Method "" is one
// that can't be seen.
func (r HTTPRule) Covers(scheme, host string, port uint16, method string) bool {
	r = r.WithDefaults()
	return slices.Contains(r.Schemes, scheme) &&
		slices.ContainsFunc(r.Hosts, func(p string) bool { return MatchHost(p, host) }) &&
		(method == "" || slices.Contains(r.Methods, AnyMethod) || slices.Contains(r.Methods, method)) &&
		r.coversPort(scheme, port)
}

func (r HTTPRule) coversPort(scheme string, port uint16) bool {
	if len(r.Ports) == 0 {
		return port == SchemePort(scheme)
	}
	return slices.ContainsFunc(r.Ports, func(p PortRange) bool { return p.Contains(port) })
}

// SchemePort returns the port that a scheme means when none is written, zero
// for an unknown one.
func SchemePort(scheme string) uint16 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// An HTTPHeader is one header line.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values of HTTPFetchRequest.Redirect.
const (
	RedirectFollow = "follow" // up to MaxRedirects, each decided like a request
	RedirectManual = "manual" // the redirect is the response
)

// Bounds of http.fetch.
const (
	MaxRedirects       = 10
	MaxURLBytes        = 8 << 10
	MaxHTTPHeaderBytes = 64 << 10 // names and values of all headers, each way
	MaxHTTPHeaders     = 128
	MaxHTTPFirst       = 1 << 20 // of a body that comes with the response of fetch
	MaxHTTPRead        = 4 << 20 // of a body that one read returns
	MaxHTTPBodies      = 16      // open at a time, of one call
)

// An HTTPFetchRequest sends a request. The frame's body is the request's.
type HTTPFetchRequest struct {
	Method string       `json:"method,omitempty"` // "" is GET
	URL    string       `json:"url"`
	Header []HTTPHeader `json:"header,omitempty"`
	// Redirect is RedirectFollow or RedirectManual; "" is follow.
	Redirect string `json:"redirect,omitempty"`
	// TimeoutMS bounds the whole exchange, the body included. Zero is the
	// longest that the grant allows, and more than that is permission_denied.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
	// MaxBytes bounds the response's body: more is resource_exhausted. Zero is
	// the most that the grant allows, and more than that is permission_denied.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	Async
}

// An HTTPFetchResponse is a response's head. The frame's body is the first part
// of the response's, MaxHTTPFirst at most, decoded if it came compressed.
type HTTPFetchResponse struct {
	Status int          `json:"status"`
	Header []HTTPHeader `json:"header"`
	URL    string       `json:"url"` // of the response, after redirects
	// Redirects are the URLs that were followed to get there.
	Redirects []string `json:"redirects,omitempty"`
	// Length is what the server announced of the body, -1 where it didn't.
	Length int64 `json:"length"`
	// Body is the number of the rest for http.read; zero when this is all.
	Body uint32 `json:"body,omitempty"`
}

// An HTTPReadRequest asks for more of a body. It waits for the next bytes, and
// its frame's body has some, or Ended is set.
type HTTPReadRequest struct {
	Body     uint32 `json:"body"`
	MaxBytes int    `json:"max_bytes,omitempty"` // zero is MaxHTTPRead
	Async
}

// An HTTPReadResponse comes with bytes in its frame's body. An ended body is
// closed.
type HTTPReadResponse struct {
	Ended bool `json:"ended,omitempty"`
}

// An HTTPCloseRequest drops the rest of a body. It answers with the empty
// object. What is open when a call ends is closed by the host.
type HTTPCloseRequest struct {
	Body uint32 `json:"body"`
}
