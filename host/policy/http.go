package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// bothHTTP returns what a and b both allow; nil where that is nothing. A request
// whose method can't be seen is refused where the two have no method in common.
func bothHTTP(a, b *abi.HTTPScope) *abi.HTTPScope {
	if a == nil || b == nil {
		return nil
	}
	allow := bothRules(a.Allow, b.Allow)
	if len(allow) == 0 {
		return nil
	}
	return &abi.HTTPScope{
		Allow:    allow,
		Secrets:  bothSecrets(a.Secrets, b.Secrets),
		MaxTime:  lesser(a.MaxTime, b.MaxTime),
		MaxBytes: lesser(a.MaxBytes, b.MaxBytes),
	}
}

// bothRules intersects two lists pairwise, in the order of a. A rule that lies
// wholly in one of the other list stays as it was written, so that a list with
// itself is itself; what is left of other pairs is added where no rule has it.
func bothRules(a, b []abi.HTTPRule) []abi.HTTPRule {
	in := func(list []abi.HTTPRule, r abi.HTTPRule) bool {
		return slices.ContainsFunc(list, func(s abi.HTTPRule) bool { return within(r, s) })
	}
	var out, whole []abi.HTTPRule
	for _, r := range a {
		if in(b, r) {
			whole = append(whole, r)
		}
	}
	for _, s := range b {
		if in(a, s) {
			whole = append(whole, s)
		}
	}
	for _, r := range a {
		if in(b, r) {
			out = append(out, cloneRule(r))
			continue
		}
		for _, s := range b {
			both, ok := s, within(s, r)
			if !ok {
				both, ok = bothRule(r, s)
				ok = ok && !in(whole, both)
			}
			if ok && !in(out, both) {
				out = append(out, cloneRule(both))
			}
		}
	}
	return out
}

// within says whether s allows all that r does.
func within(r, s abi.HTTPRule) bool {
	r, s = r.WithDefaults(), s.WithDefaults()
	for _, scheme := range r.Schemes {
		if !slices.Contains(s.Schemes, scheme) {
			return false
		}
		have := ports(s, scheme)
		for _, p := range ports(r, scheme) {
			if !slices.ContainsFunc(have, func(h abi.PortRange) bool { return h.First <= p.First && p.Last <= h.Last }) {
				return false
			}
		}
	}
	return covered(r.Hosts, s.Hosts, abi.MatchHost) &&
		covered(r.Methods, s.Methods, matchMethod) &&
		covered(r.Addresses, s.Addresses, matchPrefix)
}

// bothRule returns what two rules both allow, and whether that is anything.
func bothRule(r, s abi.HTTPRule) (abi.HTTPRule, bool) {
	out := abi.HTTPRule{
		Hosts:     BothHosts(r.Hosts, s.Hosts),
		Addresses: common(r.Addresses, s.Addresses, matchPrefix),
	}
	r, s = r.WithDefaults(), s.WithDefaults()
	out.Methods = common(r.Methods, s.Methods, matchMethod)
	for _, scheme := range r.Schemes {
		if !slices.Contains(s.Schemes, scheme) || slices.Contains(out.Schemes, scheme) {
			continue
		}
		if len(r.Ports) == 0 || len(s.Ports) == 0 {
			own := abi.SchemePort(scheme) // all that one of them has
			if !hasPort(r, scheme, own) || !hasPort(s, scheme, own) {
				continue
			}
		}
		out.Schemes = append(out.Schemes, scheme)
	}
	if len(r.Ports) > 0 && len(s.Ports) > 0 {
		out.Ports = bothPorts(merged(r.Ports), merged(s.Ports))
		if len(out.Ports) == 0 {
			return out, false
		}
	}
	return out, len(out.Hosts) > 0 && len(out.Schemes) > 0 && len(out.Methods) > 0
}

// ports returns the ports of a scheme that r allows, in order and apart.
func ports(r abi.HTTPRule, scheme string) []abi.PortRange {
	if len(r.Ports) == 0 {
		return []abi.PortRange{{First: abi.SchemePort(scheme), Last: abi.SchemePort(scheme)}}
	}
	return merged(r.Ports)
}

func hasPort(r abi.HTTPRule, scheme string, port uint16) bool {
	return slices.ContainsFunc(ports(r, scheme), func(p abi.PortRange) bool { return p.Contains(port) })
}

// merged returns the ranges in order, those that meet or overlap joined.
func merged(list []abi.PortRange) []abi.PortRange {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b abi.PortRange) int { return cmp.Compare(a.First, b.First) })
	var out []abi.PortRange
	for _, p := range sorted {
		if n := len(out) - 1; n >= 0 && int(p.First) <= int(out[n].Last)+1 {
			out[n].Last = max(out[n].Last, p.Last)
			continue
		}
		out = append(out, p)
	}
	return out
}

func bothPorts(a, b []abi.PortRange) []abi.PortRange {
	var out []abi.PortRange
	for _, p := range a {
		for _, q := range b {
			if both := (abi.PortRange{First: max(p.First, q.First), Last: min(p.Last, q.Last)}); both.First <= both.Last {
				out = append(out, both)
			}
		}
	}
	return out
}

func matchMethod(pattern, method string) bool { return pattern == abi.AnyMethod || pattern == method }

func matchPrefix(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// covered says whether each of list is matched by one of the patterns.
func covered[T any](list, patterns []T, match func(pattern, v T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !matched(v, patterns, match) })
}

func matched[T any](v T, patterns []T, match func(pattern, v T) bool) bool {
	return slices.ContainsFunc(patterns, func(p T) bool { return match(p, v) })
}

// common returns what two lists of patterns both match. Any two patterns lie
// one in the other or apart, so that is the ones that the other list matches.
func common[T comparable](a, b []T, match func(pattern, v T) bool) []T {
	var out []T
	add := func(from, by []T) {
		for _, v := range from {
			if matched(v, by, match) && !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	add(a, b)
	add(b, a)
	return out
}

// BothHosts returns what two lists of patterns of hosts both cover.
func BothHosts(a, b []string) []string { return common(a, b, abi.MatchHost) }

func cloneRule(r abi.HTTPRule) abi.HTTPRule {
	r.Hosts, r.Schemes, r.Ports = slices.Clone(r.Hosts), slices.Clone(r.Schemes), slices.Clone(r.Ports)
	r.Methods, r.Addresses = slices.Clone(r.Methods), slices.Clone(r.Addresses)
	return r
}

// bothSecrets returns the secrets that are in both lists, for the hosts that
// both name. One that both leave open is none.
func bothSecrets(a, b []abi.HTTPSecret) []abi.HTTPSecret {
	var out []abi.HTTPSecret
	for _, s := range a {
		for _, t := range b {
			both, ok := bothSecret(s, t)
			if !ok {
				continue
			}
			same := func(o abi.HTTPSecret) bool {
				return o.Name == both.Name && o.Header == both.Header && o.Prefix == both.Prefix
			}
			i := slices.IndexFunc(out, same)
			if i < 0 {
				out = append(out, both)
				continue
			}
			for _, host := range both.Hosts {
				if !slices.Contains(out[i].Hosts, host) {
					out[i].Hosts = append(out[i].Hosts, host)
				}
			}
		}
	}
	return out
}

func bothSecret(s, t abi.HTTPSecret) (abi.HTTPSecret, bool) {
	out := s
	switch {
	case s.Name == abi.AnySecret:
		out.Name = t.Name
	case t.Name != abi.AnySecret && t.Name != s.Name:
		return out, false
	}
	switch {
	case s.Header == abi.AnySecret:
		out.Header, out.Prefix = t.Header, t.Prefix
	case t.Header != abi.AnySecret && (!strings.EqualFold(t.Header, s.Header) || t.Prefix != s.Prefix):
		return out, false
	}
	out.Hosts = BothHosts(s.Hosts, t.Hosts)
	return out, out.Name != abi.AnySecret && out.Header != abi.AnySecret && len(out.Hosts) > 0
}

func checkHTTP(h *abi.HTTPScope, r Request) error {
	switch {
	case h == nil || len(h.Allow) == 0:
		return denied("http.allow", "%s is not granted to this plugin", r.Op)
	case r.Op == abi.OpHTTPFetch && h.MaxTime > 0 && r.MaxTime > time.Duration(h.MaxTime):
		asked := strictyaml.Brief(abi.Duration(r.MaxTime))
		return denied("http.max_time: "+asked, "%s for %s: this plugin's requests may take %s at most", r.Op, asked, strictyaml.Brief(h.MaxTime))
	case r.Op == abi.OpHTTPFetch && h.MaxBytes > 0 && r.MaxBytes > h.MaxBytes:
		return denied(fmt.Sprintf("http.max_bytes: %d", r.MaxBytes), "%s of %d bytes: this plugin may get %d at most", r.Op, r.MaxBytes, h.MaxBytes)
	}
	return nil
}
