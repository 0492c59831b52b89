package abi

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What names are made of. Regular expressions would be compiled anew in every
// sandbox.
const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	symbols = "!#$%&'*+-.^_`|~" // of a token in HTTP, besides letters and digits
)

// madeOf says whether s has 1 to most characters, all of them of a set.
func madeOf(s, set string, most int) bool {
	return 0 < len(s) && len(s) <= most && strings.Trim(s, set) == ""
}

// notSecrets are headers that say how a message is to be read or passed on, in
// lower case. Proxy-* are as well.
var notSecrets = []string{
	"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}

func (s *HTTPScope) validate() error {
	if len(s.Allow) == 0 {
		return Errorf(CodeInvalidArgument, "http.allow is empty: write a rule with its hosts")
	}
	if err := countOf("http.allow", len(s.Allow)); err != nil {
		return err
	}
	for i, r := range s.Allow {
		if err := r.validate(fmt.Sprintf("http.allow[%d]", i)); err != nil {
			return err
		}
	}
	if err := countOf("http.secrets", len(s.Secrets)); err != nil {
		return err
	}
	for i, secret := range s.Secrets {
		if err := secret.validate(fmt.Sprintf("http.secrets[%d]", i)); err != nil {
			return err
		}
	}
	if s.MaxTime < 0 {
		return Errorf(CodeInvalidArgument, "http.max_time is negative: %v", s.MaxTime)
	}
	if s.MaxBytes < 0 {
		return Errorf(CodeInvalidArgument, "http.max_bytes is negative: %d", s.MaxBytes)
	}
	return nil
}

func (r HTTPRule) validate(at string) error {
	if err := checkHosts(at+".hosts", r.Hosts); err != nil {
		return err
	}
	if err := each(at+".schemes", r.Schemes, func(scheme string) string {
		if SchemePort(scheme) == 0 {
			return "use http or https"
		}
		return ""
	}); err != nil {
		return err
	}
	if err := each(at+".ports", r.Ports, func(p PortRange) string {
		if !p.valid() {
			return "use ports from 1 to 65535"
		}
		return ""
	}); err != nil {
		return err
	}
	if err := each(at+".methods", r.Methods, func(method string) string {
		if method != AnyMethod && !madeOf(method, upper+digits+"-_", 32) {
			return "use a method in upper case, such as GET, or *"
		}
		return ""
	}); err != nil {
		return err
	}
	return each(at+".addresses", r.Addresses, func(p netip.Prefix) string {
		switch {
		case !p.IsValid():
			return "use a prefix such as 10.1.0.0/16"
		case p != p.Masked():
			return "write it as " + p.Masked().String()
		case p.Addr().Is4In6():
			return "write the IPv4 prefix that it stands for"
		}
		return ""
	})
}

func (s HTTPSecret) validate(at string) error {
	header := strings.ToLower(s.Header)
	switch {
	case s.Name != AnySecret && !ValidSecretName(s.Name):
		return Errorf(CodeInvalidArgument, "%s.name is %.100q: use 1 to 64 lower-case letters, digits, _ and -", at, s.Name)
	case s.Header != AnySecret && !madeOf(s.Header, upper+lower+digits+symbols, 64):
		return Errorf(CodeInvalidArgument, "%s.header is %.100q: use a header's name, such as Authorization", at, s.Header)
	case slices.Contains(notSecrets, header) || strings.HasPrefix(header, "proxy-"):
		return Errorf(CodeInvalidArgument, "%s.header is %q, which is the host's to write", at, s.Header)
	case len(s.Prefix) > 64 || strings.ContainsFunc(s.Prefix, func(r rune) bool { return r < ' ' || r > '~' }):
		return Errorf(CodeInvalidArgument, "%s.prefix is %.100q: use at most 64 printable ASCII characters", at, s.Prefix)
	case s.Header == AnySecret && s.Prefix != "":
		return Errorf(CodeInvalidArgument, "%s.prefix is for a header that is left open: leave it out, it is left open with it", at)
	}
	return checkHosts(at+".hosts", s.Hosts)
}

// ValidSecretName says whether a secret can have this name.
func ValidSecretName(name string) bool { return madeOf(name, lower+digits+"_-", 64) }

func checkHosts(at string, hosts []string) error {
	if len(hosts) == 0 {
		return Errorf(CodeInvalidArgument, "%s is empty: name at least one, such as api.example.com", at)
	}
	return each(at, hosts, hostFault)
}

// each checks a list and its items, whose faults come in words.
func each[T any](at string, list []T, fault func(T) string) error {
	if err := countOf(at, len(list)); err != nil {
		return err
	}
	for i, v := range list {
		if what := fault(v); what != "" {
			return Errorf(CodeInvalidArgument, "%s[%d] is %.100q: %s", at, i, fmt.Sprint(v), what)
		}
	}
	return nil
}

func countOf(at string, n int) error {
	if n > MaxHTTPRules {
		return Errorf(CodeInvalidArgument, "%s has %d entries, at most %d are allowed", at, n, MaxHTTPRules)
	}
	return nil
}

// CheckHost says what is wrong with a pattern of HTTPRule.Hosts, with
// invalid_argument. Each pattern has one spelling.
func CheckHost(pattern string) error {
	if what := hostFault(pattern); what != "" {
		return Errorf(CodeInvalidArgument, "host %.100q: %s", pattern, what)
	}
	return nil
}

func hostFault(pattern string) string {
	if pattern == AnyHost {
		return ""
	}
	if addr, err := netip.ParseAddr(pattern); err == nil {
		if own := addr.Unmap().WithZone("").String(); own != pattern {
			return "write it as " + own
		}
		return ""
	}
	name, _ := strings.CutPrefix(pattern, "*.")
	switch {
	case len(pattern) > MaxHostBytes:
		return fmt.Sprintf("it has %d bytes, at most %d are allowed", len(pattern), MaxHostBytes)
	case strings.ContainsAny(name, ":/@[]?#"):
		return "name the host alone, without scheme, port or path"
	case strings.Contains(name, "*"):
		return "write * alone or in the place of the first label, as in *.example.com"
	case strings.ContainsFunc(name, func(r rune) bool { return r > '~' }):
		return "write it in punycode, with xn--"
	case name != strings.ToLower(name):
		return "use lower case"
	case strings.HasSuffix(name, "."):
		return "leave the final dot out"
	}
	labels := strings.Split(name, ".")
	if slices.ContainsFunc(labels, func(l string) bool { return !validLabel(l) }) {
		return "use a name such as api.example.com, *.example.com, or an address"
	}
	last := labels[len(labels)-1]
	if hex, ok := strings.CutPrefix(last, "0x"); madeOf(last, digits, 63) || ok && strings.Trim(hex, digits+"abcdef") == "" {
		return "it ends in a number and isn't an address"
	}
	return ""
}

func validLabel(l string) bool {
	return madeOf(l, lower+digits+"-", 63) && l[0] != '-' && l[len(l)-1] != '-'
}
