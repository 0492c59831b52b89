package abi_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

func TestHostPatternsCoverHosts(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{"api.example.com", []string{"api.example.com"}, []string{"example.com", "a.api.example.com", "xapi.example.com", ""}},
		{"*.example.com", []string{"api.example.com", "a.b.example.com", "*.example.com", "*.api.example.com"}, []string{"example.com", "badexample.com", "example.com.org", "*.com", "*"}},
		{"*", []string{"example.com", "192.0.2.1", "2001:db8::1", "*.com", "*"}, nil},
		{"192.0.2.1", []string{"192.0.2.1"}, []string{"192.0.2.10", "1.192.0.2.1"}},
		{"2001:db8::1", []string{"2001:db8::1"}, []string{"2001:db8::10"}},
		// Not a pattern that can be declared: an address has no names below it.
		{"*.0.2.1", nil, []string{"192.0.2.1"}},
	}
	for _, tt := range tests {
		for _, host := range tt.yes {
			if !abi.MatchHost(tt.pattern, host) {
				t.Errorf("%s doesn't cover %s", tt.pattern, host)
			}
		}
		for _, host := range tt.no {
			if abi.MatchHost(tt.pattern, host) {
				t.Errorf("%s covers %q", tt.pattern, host)
			}
		}
	}
}

func TestAHostPatternHasOneSpelling(t *testing.T) {
	for _, good := range []string{
		"*", "localhost", "api.example.com", "*.example.com", "*.com", "xn--bcher-kva.example", "a-b.c1.example", "1.example", "0x1.example",
		"192.0.2.1", "2001:db8::1", "::1", strings.Repeat("a", 63) + ".example",
	} {
		if err := abi.CheckHost(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                        "use a name",
		"API.example.com":         "use lower case",
		"bücher.example":          "punycode",
		"example.com.":            "final dot",
		"https://example.com":     "without scheme, port or path",
		"example.com:443":         "without scheme, port or path",
		"[::1]":                   "without scheme, port or path",
		"user@example.com":        "without scheme, port or path",
		"api.*.com":               "first label",
		"*example.com":            "first label",
		"**.example.com":          "first label",
		"*.":                      "use a name",
		"a..example":              "use a name",
		".example.com":            "use a name",
		"-a.example":              "use a name",
		"a-.example":              "use a name",
		"a_b.example":             "use a name",
		"a b.example":             "use a name",
		"2130706433":              "ends in a number",
		"127.1":                   "ends in a number",
		"0x7f.0.0.0x1":            "ends in a number",
		"1.2.3.0x":                "ends in a number",
		"*.2.1":                   "ends in a number",
		"127.0.0.01":              "ends in a number",
		"2001:DB8::1":             "write it as 2001:db8::1",
		"0:0:0:0:0:0:0:1":         "write it as ::1",
		"::ffff:127.0.0.1":        "write it as 127.0.0.1",
		"fe80::1%eth0":            "write it as fe80::1",
		strings.Repeat("a", 64):   "use a name",
		strings.Repeat("a.", 127): "at most 253",
	} {
		checkInvalid(t, abi.CheckHost(bad), want)
	}
}

func FuzzMatchHost(f *testing.F) {
	for _, pattern := range []string{"*", "*.example.com", "api.example.com", "192.0.2.1", "2001:db8::1", "127.1", "*.0.2.1"} {
		for _, host := range []string{"api.example.com", "192.0.2.1", "2001:db8::1", "*.api.example.com", "example.com"} {
			f.Add(pattern, host)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		if abi.CheckHost(pattern) != nil || abi.CheckHost(host) != nil || !abi.MatchHost(pattern, host) {
			return
		}
		_, err := netip.ParseAddr(host)
		switch parent, wild := strings.CutPrefix(pattern, "*."); {
		case pattern == abi.AnyHost, pattern == host:
		case wild && err == nil:
			t.Fatalf("%q covers the address %s", pattern, host)
		case !wild || !strings.HasSuffix(host, "."+parent) || len(host) <= len(parent)+1:
			t.Fatalf("%q covers %q", pattern, host)
		}
		if host != pattern && abi.MatchHost(host, pattern) {
			t.Fatalf("%q and %q cover one another", pattern, host)
		}
	})
}

func TestPortsAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]abi.PortRange{
		"443": {First: 443, Last: 443}, "8000-8099": {First: 8000, Last: 8099}, "1-65535": {First: 1, Last: 65535},
	} {
		var got abi.PortRange
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		b, err := json.Marshal(want)
		if err != nil || string(b) != `"`+text+`"` {
			t.Errorf("%s is written %s, %v", text, b, err)
		}
	}
	var got []abi.PortRange
	if err := json.Unmarshal([]byte(`[443,"80","8000-8099"]`), &got); err != nil ||
		!slices.Equal(got, []abi.PortRange{{First: 443, Last: 443}, {First: 80, Last: 80}, {First: 8000, Last: 8099}}) {
		t.Errorf("numbers and texts in JSON: %v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "65536", "-1", "+80", "080", "8_0", "80-", "-80", "90-80", "80-90-100", "http", " 80", "8e1"} {
		var r abi.PortRange
		if err := r.UnmarshalText([]byte(bad)); err == nil || !strings.Contains(err.Error(), "use a port from 1 to 65535") || r != (abi.PortRange{}) {
			t.Errorf("%q: %v, %v", bad, r, err)
		}
	}
	for _, bad := range []string{`[null]`, `[true]`, `[{}]`, `[80.5]`, `[8e1]`, `[-1]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was read as %v", bad, got)
		}
	}
}

func FuzzPortRange(f *testing.F) {
	for _, text := range []string{"443", "8000-8099", "0", "80-", "65536", "080", "1-65535"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, again abi.PortRange
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		b, err := r.MarshalText()
		if err != nil || again.UnmarshalText(b) != nil || again != r {
			t.Fatalf("%q is %v, written %s and read as %v", text, r, b, again)
		}
		if !r.Contains(r.First) || !r.Contains(r.Last) || r.Contains(r.First-1) || r.Contains(r.Last+1) && r.Last != 65535 {
			t.Fatalf("%q has other ports than it says", text)
		}
	})
}

func TestRulesCoverRequests(t *testing.T) {
	plain := abi.HTTPRule{Hosts: []string{"a.example"}}
	wide := abi.HTTPRule{Hosts: []string{"a.example"}, Schemes: []string{"http", "https"}, Ports: []abi.PortRange{{First: 8000, Last: 8099}, {First: 443, Last: 443}}, Methods: []string{"*"}}
	both := abi.HTTPRule{Hosts: []string{"*"}, Schemes: []string{"http", "https"}, Methods: []string{"POST"}}
	tests := []struct {
		name   string
		rule   abi.HTTPRule
		scheme string
		host   string
		port   uint16
		method string
		want   bool
	}{
		{"what is usual", plain, "https", "a.example", 443, "GET", true},
		{"HEAD as well", plain, "https", "a.example", 443, "HEAD", true},
		{"another method", plain, "https", "a.example", 443, "POST", false},
		{"one that can't be seen", plain, "https", "a.example", 443, "", true},
		{"another host", plain, "https", "b.example", 443, "GET", false},
		{"another scheme", plain, "http", "a.example", 80, "GET", false},
		{"an unknown scheme", plain, "ftp", "a.example", 0, "GET", false},
		{"another port", plain, "https", "a.example", 8443, "GET", false},
		{"a port in the range", wide, "http", "a.example", 8099, "PATCH", true},
		{"a port outside of it", wide, "http", "a.example", 8100, "PATCH", false},
		{"the usual port where others are named", wide, "http", "a.example", 80, "GET", false},
		{"each scheme's own port", both, "http", "a.example", 80, "POST", true},
		{"the other scheme's port", both, "http", "a.example", 443, "POST", false},
	}
	for _, tt := range tests {
		if got := tt.rule.Covers(tt.scheme, tt.host, tt.port, tt.method); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestHTTPScopesValidate(t *testing.T) {
	rule := func(edit func(*abi.HTTPRule)) abi.HTTPScope {
		r := abi.HTTPRule{Hosts: []string{"a.example"}}
		edit(&r)
		return abi.HTTPScope{Allow: []abi.HTTPRule{{Hosts: []string{"*"}}, r}}
	}
	secret := func(edit func(*abi.HTTPSecret)) abi.HTTPScope {
		s := abi.HTTPSecret{Name: "token", Header: "Authorization", Prefix: "Bearer ", Hosts: []string{"a.example"}}
		edit(&s)
		return abi.HTTPScope{Allow: []abi.HTTPRule{{Hosts: []string{"*"}}}, Secrets: []abi.HTTPSecret{s}}
	}
	prefix := func(s string) netip.Prefix {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	many := slices.Repeat([]string{"a.example"}, abi.MaxHTTPRules+1)
	tests := []struct {
		name string
		in   abi.HTTPScope
		want string // how the message begins, "" for none
	}{
		{"a host", rule(func(*abi.HTTPRule) {}), ""},
		{"every field", rule(func(r *abi.HTTPRule) {
			r.Schemes, r.Methods = []string{"http", "https"}, []string{"GET", "M-SEARCH", "*"}
			r.Ports = []abi.PortRange{{First: 1, Last: 65535}}
			r.Addresses = []netip.Prefix{prefix("10.1.0.0/16"), prefix("fd00::/8"), prefix("127.0.0.1/32")}
		}), ""},
		{"a secret", secret(func(*abi.HTTPSecret) {}), ""},
		{"a secret that is left open", secret(func(s *abi.HTTPSecret) { s.Name, s.Header, s.Prefix = "*", "*", "" }), ""},
		{"no rule", abi.HTTPScope{}, "http.allow is empty"},
		{"too many rules", abi.HTTPScope{Allow: make([]abi.HTTPRule, 65)}, "http.allow has 65 entries"},
		{"no host", rule(func(r *abi.HTTPRule) { r.Hosts = nil }), "http.allow[1].hosts is empty"},
		{"too many hosts", rule(func(r *abi.HTTPRule) { r.Hosts = many }), "http.allow[1].hosts has 65 entries"},
		{"a bad host", rule(func(r *abi.HTTPRule) { r.Hosts = []string{"*", "A.example"} }), `http.allow[1].hosts[1] is "A.example": use lower case`},
		{"a long host", rule(func(r *abi.HTTPRule) { r.Hosts = []string{strings.Repeat("a", 1000)} }), "http.allow[1].hosts[0] is "},
		{"a bad scheme", rule(func(r *abi.HTTPRule) { r.Schemes = []string{"wss"} }), `http.allow[1].schemes[0] is "wss": use http or https`},
		{"a bad port", rule(func(r *abi.HTTPRule) { r.Ports = []abi.PortRange{{}} }), `http.allow[1].ports[0] is "0"`},
		{"a range backwards", rule(func(r *abi.HTTPRule) { r.Ports = []abi.PortRange{{First: 2, Last: 1}} }), `http.allow[1].ports[0] is "2-1"`},
		{"a method in lower case", rule(func(r *abi.HTTPRule) { r.Methods = []string{"get"} }), `http.allow[1].methods[0] is "get"`},
		{"a method that is none", rule(func(r *abi.HTTPRule) { r.Methods = []string{"GET /"} }), `http.allow[1].methods[0] is "GET /"`},
		{"no prefix", rule(func(r *abi.HTTPRule) { r.Addresses = make([]netip.Prefix, 1) }), "http.allow[1].addresses[0] is "},
		{"bits beyond a prefix", rule(func(r *abi.HTTPRule) { r.Addresses = []netip.Prefix{prefix("10.1.2.3/16")} }), `http.allow[1].addresses[0] is "10.1.2.3/16": write it as 10.1.0.0/16`},
		{"a mapped prefix", rule(func(r *abi.HTTPRule) { r.Addresses = []netip.Prefix{prefix("::ffff:10.0.0.0/104")} }), "http.allow[1].addresses[0] is "},
		{"too many secrets", abi.HTTPScope{Allow: []abi.HTTPRule{{Hosts: []string{"*"}}}, Secrets: make([]abi.HTTPSecret, 65)}, "http.secrets has 65 entries"},
		{"a secret without a name", secret(func(s *abi.HTTPSecret) { s.Name = "" }), "http.secrets[0].name is "},
		{"a secret's bad name", secret(func(s *abi.HTTPSecret) { s.Name = "../token" }), "http.secrets[0].name is "},
		{"a header that is none", secret(func(s *abi.HTTPSecret) { s.Header = "X-A: b" }), "http.secrets[0].header is "},
		{"the host's header", secret(func(s *abi.HTTPSecret) { s.Header = "HOST" }), "http.secrets[0].header is "},
		{"a hop's header", secret(func(s *abi.HTTPSecret) { s.Header = "Proxy-Authorization" }), "http.secrets[0].header is "},
		{"a line in a prefix", secret(func(s *abi.HTTPSecret) { s.Prefix = "a\r\nb: " }), "http.secrets[0].prefix is "},
		{"a prefix of an open header", secret(func(s *abi.HTTPSecret) { s.Header = "*" }), "http.secrets[0].prefix is "},
		{"a secret without hosts", secret(func(s *abi.HTTPSecret) { s.Hosts = nil }), "http.secrets[0].hosts is empty"},
		{"negative time", abi.HTTPScope{Allow: []abi.HTTPRule{{Hosts: []string{"*"}}}, MaxTime: -1}, "http.max_time is negative"},
		{"negative bytes", abi.HTTPScope{Allow: []abi.HTTPRule{{Hosts: []string{"*"}}}, MaxBytes: -1}, "http.max_bytes is negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := abi.Capabilities{HTTP: &tt.in}.Validate()
			checkInvalid(t, err, tt.want)
			if tt.want != "" && !strings.HasPrefix(abi.AsError(err).Message, tt.want) {
				t.Errorf("the message begins otherwise: %v", err)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}
