package abi

import (
	"bytes"
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
	Name   string   `json:"name"`             // of the value, in the host's keeping; 1 to 64 of a-z, 0-9, _ and -
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
	MaxHTTPRules = 64 // and as many of each list in a rule, and of secrets
	MaxHostBytes = 253
)

// MatchHost says whether a pattern of HTTPRule.Hosts covers a host: a name in
// lower-case ASCII without a final dot, or an address without brackets. Of two
// patterns it says whether the first covers all that the second does.
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

// AnyPort is every port. In a manifest it leaves them to the operator, as do
// the prefixes 0.0.0.0/0 and ::/0 in its addresses.
var AnyPort = PortRange{First: 1, Last: 65535}

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
	read := PortRange{port(first), port(last)}
	if !read.valid() {
		return fmt.Errorf("port %q: use a port from 1 to 65535, or a range such as 8000-8099", b)
	}
	*r = read
	return nil
}

// UnmarshalJSON reads a JSON number as well: a manifest may have 443 or "443".
func (r *PortRange) UnmarshalJSON(b []byte) error {
	return r.UnmarshalText(bytes.Trim(b, `"`))
}

// port reads a port as it is usually written, and is zero for anything else: a
// zero in front would be octal to other readers.
func port(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || s[0] == '0' {
		return 0
	}
	return uint16(n)
}

func (r PortRange) valid() bool { return 0 < r.First && r.First <= r.Last }

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
