package plugin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// httpPhrases says what an http scope allows: a line for each rule, one for the
// bounds, and one for each secret.
func httpPhrases(h *abi.HTTPScope) []phrase {
	var out []phrase
	add := func(scope, words string) {
		// Two rules for the same hosts are two things that are asked for.
		taken := func(p phrase) bool { return p.scope == scope }
		for slices.ContainsFunc(out, taken) {
			scope += "+"
		}
		out = append(out, phrase{scope, words})
	}
	for _, r := range h.Allow {
		add("http.allow "+strings.Join(r.Hosts, " "), ruleWords(r))
	}
	most := "takes as long as the host allows (a minute; from a kernel an hour)"
	if h.MaxTime > 0 {
		most = "takes " + strictyaml.Brief(h.MaxTime) + " at most"
	}
	size := "as many bytes as the host allows (32 MiB; in a kernel 4 GiB)"
	if h.MaxBytes > 0 {
		size = fmt.Sprintf("%d bytes at most", h.MaxBytes)
	}
	add("http bounds", fmt.Sprintf("a request over http or https %s, and its response has %s", most, size))
	for _, s := range h.Secrets {
		add("http.secrets "+s.Name+" "+s.Header, secretWords(s))
	}
	return out
}

// ruleWords says what a rule allows, such as "sends GET and HEAD over https to
// api.example.com, port 443".
func ruleWords(r abi.HTTPRule) string {
	r = r.WithDefaults()
	methods := and(r.Methods)
	if slices.Contains(r.Methods, abi.AnyMethod) {
		methods = "requests of any method"
	}
	words := fmt.Sprintf("sends %s over %s to %s, %s", methods, and(r.Schemes), hostWords(r.Hosts), portWords(r))
	open := func(p netip.Prefix) bool { return p.Bits() == 0 }
	if slices.ContainsFunc(r.Addresses, open) {
		words += ", also where that leads to addresses that aren't public, if you write their ranges in the policy by hand"
	} else if len(r.Addresses) > 0 {
		words += ", also where that leads to addresses of " + and(r.Addresses) + " that aren't public"
	}
	return words
}

func hostWords(hosts []string) string {
	if slices.Contains(hosts, abi.AnyHost) {
		return "any host"
	}
	return and(hosts)
}

// portWords takes a rule with its defaults.
func portWords(r abi.HTTPRule) string {
	ports := r.Ports
	if slices.Contains(ports, abi.AnyPort) {
		return "at any port"
	}
	if len(ports) == 0 {
		if len(r.Schemes) > 1 {
			return "each at its usual port"
		}
		own := abi.SchemePort(r.Schemes[0])
		ports = []abi.PortRange{{First: own, Last: own}}
	}
	if len(ports) == 1 && ports[0].First == ports[0].Last {
		return "port " + ports[0].String()
	}
	return "ports " + and(ports)
}

// secretWords says what a secret is added to. What a manifest leaves open is
// said to be the operator's to write.
func secretWords(s abi.HTTPSecret) string {
	name, header := "the secret "+s.Name, "the header "+s.Header
	if s.Name == abi.AnySecret {
		name = "a secret of your choice"
	}
	if s.Header == abi.AnySecret {
		header = "a header of your choice"
	}
	words := fmt.Sprintf("has the host put %s into %s of requests over https to %s", name, header, hostWords(s.Hosts))
	if s.Prefix != "" {
		words += fmt.Sprintf(", after %q", s.Prefix)
	}
	if s.Name == abi.AnySecret || s.Header == abi.AnySecret {
		words += ": which one, you write in the policy by hand"
	}
	return words
}

// and joins a list as people do.
func and[T any](list []T) string {
	var words []string
	for _, v := range list {
		words = append(words, fmt.Sprint(v))
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
