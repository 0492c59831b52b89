package egress_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

func rule(hosts ...string) abi.HTTPRule { return abi.HTTPRule{Hosts: hosts} }

func with(r abi.HTTPRule, change func(*abi.HTTPRule)) abi.HTTPRule {
	change(&r)
	return r
}

// Each refusal has its control: the same request under the lifted rule passes.
func TestARefusalNamesTheGrantThatLiftsIt(t *testing.T) {
	addresses := func(r abi.HTTPRule, list ...string) abi.HTTPRule {
		r.Addresses = prefixes(list...)
		return r
	}
	const name = "https://api.example.com"
	for what, c := range map[string]struct {
		url, method, answer string
		rule                abi.HTTPRule
		grant               string
		lifted              abi.HTTPRule
	}{
		"another host":        {name, "GET", "1.1.1.1", rule("example.com"), "http.allow: https://api.example.com:443 GET", rule("api.example.com")},
		"the parent":          {"https://example.com", "GET", "1.1.1.1", rule("*.example.com"), "http.allow: https://example.com:443 GET", rule("example.com")},
		"a name that ends so": {"https://badexample.com", "GET", "1.1.1.1", rule("*.example.com", "example.com"), "http.allow: https://badexample.com:443 GET", rule("badexample.com")},
		"a wildcard":          {name, "GET", "1.1.1.1", rule("*.com.example"), "http.allow: https://api.example.com:443 GET", rule("*.example.com")},
		"a scheme":            {"http://api.example.com", "GET", "1.1.1.1", rule("*"), "http.allow: http://api.example.com:80 GET", with(rule("*"), func(r *abi.HTTPRule) { r.Schemes = []string{"http"} })},
		"a port":              {name + ":8443", "GET", "1.1.1.1", rule("*"), "http.allow: https://api.example.com:8443 GET", with(rule("*"), func(r *abi.HTTPRule) { r.Ports = []abi.PortRange{{First: 8000, Last: 9000}} })},
		"a method":            {name, "POST", "1.1.1.1", rule("*"), "http.allow: https://api.example.com:443 POST", with(rule("*"), func(r *abi.HTTPRule) { r.Methods = []string{"POST"} })},
		"a method's case":     {name, "get", "1.1.1.1", rule("*"), "http.allow: https://api.example.com:443 get", with(rule("*"), func(r *abi.HTTPRule) { r.Methods = []string{"*"} })},
		"a literal":           {"https://1.1.1.1", "GET", "", rule("*.example.com", "api.example.com"), "http.allow: https://1.1.1.1:443 GET", rule("1.1.1.1")},
		"a literal by any":    {"https://[2606:4700::1111]", "GET", "", rule("*.1" + "a"), "http.allow: https://[2606:4700::1111]:443 GET", rule("*")},
		"a look-alike":        {"https://\u0430pi.example.com", "GET", "1.1.1.1", rule("api.example.com"), "http.allow: https://xn--pi-6kc.example.com:443 GET", rule("\u0430pi.example.com")},
		"a private address":   {name, "GET", "10.1.2.3", rule("*"), "http.allow.addresses: 10.1.2.3/32", addresses(rule("*"), "10.0.0.0/8")},
		"one of many":         {name, "GET", "1.1.1.1,127.0.0.1", rule("*"), "http.allow.addresses: 127.0.0.1/32", addresses(rule("*"), "127.0.0.1/32")},
		"one of many, first":  {name, "GET", "127.0.0.1,1.1.1.1", rule("*"), "http.allow.addresses: 127.0.0.1/32", addresses(rule("*"), "127.0.0.1/32")},
		"another private one": {name, "GET", "10.1.2.3", addresses(rule("*"), "10.9.0.0/16"), "http.allow.addresses: 10.1.2.3/32", addresses(rule("*"), "10.9.0.0/16", "10.1.0.0/16")},
		"loopback":            {"https://127.0.0.1", "GET", "", rule("*"), "http.allow.addresses: 127.0.0.1/32", addresses(rule("*"), "127.0.0.0/8")},
		"loopback, named":     {"https://localhost", "GET", "::1", rule("localhost"), "http.allow.addresses: ::1/128", addresses(rule("localhost"), "::1/128")},
		"mapped":              {"https://[::ffff:10.0.0.1]", "GET", "", rule("*"), "http.allow.addresses: 10.0.0.1/32", addresses(rule("10.0.0.1"), "10.0.0.1/32")},
		"mapped answer":       {name, "GET", "::ffff:10.0.0.1", rule("*"), "http.allow.addresses: 10.0.0.1/32", addresses(rule("*"), "10.0.0.1/32")},
		"mapped grant":        {name, "GET", "10.0.0.1", rule("*"), "http.allow.addresses: 10.0.0.1/32", addresses(rule("*"), "::ffff:10.0.0.0/104")},
		"compatible":          {"https://[::127.0.0.1]", "GET", "", rule("*"), "http.allow.addresses: ::7f00:1/128", addresses(rule("*"), "::/96")},
		"translated":          {name, "GET", "64:ff9b::a00:1", rule("*"), "http.allow.addresses: 64:ff9b::a00:1/128", addresses(rule("*"), "64:ff9b::/96")},
		"metadata":            {"https://169.254.169.254", "GET", "", rule("*"), "http.allow.addresses: 169.254.169.254/32", addresses(rule("*"), "169.254.169.254/32")},
		"metadata, v6":        {"https://[fd00:ec2::254]", "GET", "", rule("*"), "http.allow.addresses: fd00:ec2::254/128", addresses(rule("*"), "fd00::/8")},
	} {
		t.Run(what, func(t *testing.T) {
			target, err := egress.ParseTarget(c.url)
			if err != nil {
				t.Fatal(err)
			}
			target.Method = c.method
			answers := resolve()
			if c.answer != "" {
				answers = resolve(target.Host + "=" + c.answer)
			}
			g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{c.rule}, Resolver: answers})
			d, err := g.Decide(t.Context(), target)
			e := abi.AsError(err)
			if abi.CodeOf(err) != abi.CodePermissionDenied || e.Grant != c.grant || d.Allowed || d.Rule != -1 || d.Err != e || !strings.Contains(e.Hint, c.grant) {
				t.Errorf("refused with %#v, %v", d, err)
			}
			if got, want := kept.String(), "refused "+target.String(); got != want {
				t.Errorf("recorded %q, want %q", got, want)
			}
			g, kept = newGate(t, egress.Config{Rules: []abi.HTTPRule{rule("nothing.example"), c.lifted}, Resolver: answers})
			d, err = g.Decide(t.Context(), target)
			if err != nil || !d.Allowed || d.Rule != 1 || d.Err != nil || len(d.Addresses) == 0 {
				t.Errorf("allowed with %#v, %v", d, err)
			}
			if got, want := kept.String(), "allowed "+target.String(); got != want {
				t.Errorf("recorded %q, want %q", got, want)
			}
		})
	}
}

func TestAnAddressIsOfTheRuleThatGrantsIt(t *testing.T) {
	get := rule("a.example")
	get.Addresses = prefixes("10.0.0.0/8")
	post := rule("*")
	post.Methods = []string{"POST"}
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{post, get}, Resolver: resolve("a.example=10.0.0.1", "b.example=10.0.0.1")})
	for target, want := range map[egress.Target]bool{
		{Scheme: "https", Host: "a.example", Port: 443, Method: "GET"}:  true,
		{Scheme: "https", Host: "a.example", Port: 443, Method: "POST"}: false,
		{Scheme: "https", Host: "b.example", Port: 443, Method: "POST"}: false,
	} {
		if d, err := g.Decide(t.Context(), target); d.Allowed != want {
			t.Errorf("%v: %v", target, err)
		}
	}
}

func TestWhatIsNotPublicIsRefused(t *testing.T) {
	any := rule("*")
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{any}})
	all := any
	all.Addresses = prefixes("0.0.0.0/0", "::/0")
	lifted, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{all}})
	for public, list := range map[bool]string{
		true: `1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
			168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0
			192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.114.0 223.255.255.255
			2001:200::1 2001:4860:4860::8888 2606:4700:4700::1111 2003::1 2a00::1 2001:db7:ffff::1 2001:db9::1 3ffe:ffff::1
			64:ff9b::101:101 ::ffff:8.8.8.8`,
		false: `0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255
			127.0.0.0 127.0.0.1 127.255.255.255 168.63.129.16 169.254.0.0 169.254.169.254 169.254.255.255
			172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.9 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1
			192.88.99.1 192.168.0.0 192.168.255.255 192.175.48.1 198.18.0.0 198.19.255.255 198.51.100.1
			203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.254 255.255.255.255
			:: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
			64:ff9b:1::1 64:ff9b:1:ffff::8.8.8.8 100::1 100:0:0:1::1 2001::1 2001:0:808:808::1 2001:1::1 2001:20::1 2001:1ff:ffff::1
			2001:db8::1 2002:7f00:1::1 2002:808:808::1 2620:4f:8000::1 3fff::1 3fff:fff::1 4000::1 5f00::1 8000::1
			fc00::1 fd00:ec2::254 fdff::1 fe80::1 febf::1 fec0::1 ff02::1 1fff::1`,
	} {
		for a := range strings.FieldsSeq(list) {
			host := netip.MustParseAddr(a).Unmap().String()
			target := egress.Target{Scheme: "https", Host: host, Port: 443, Method: "GET"}
			if d, err := g.Decide(t.Context(), target); d.Allowed != public {
				t.Errorf("%s: allowed is %v, %v", a, d.Allowed, err)
			}
			if d, err := lifted.Decide(t.Context(), target); !d.Allowed {
				t.Errorf("%s isn't lifted: %v", a, err)
			}
		}
	}
}

func TestAnAnswerWithAZoneIsRefused(t *testing.T) {
	all := rule("*")
	all.Addresses = prefixes("::/0")
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{all}, Resolver: resolve("a.example=fe80::1%eth0", "b.example=fe80::1")})
	if d, err := g.Decide(t.Context(), egress.Target{Scheme: "https", Host: "a.example", Port: 443}); d.Allowed {
		t.Errorf("allowed: %v", err)
	}
	if _, err := g.Decide(t.Context(), egress.Target{Scheme: "https", Host: "b.example", Port: 443}); err != nil {
		t.Errorf("without a zone: %v", err)
	}
}

func TestANameIsResolvedOnceAndOnlyWhenARuleCoversIt(t *testing.T) {
	n := resolve("a.example=1.1.1.1,::ffff:1.1.1.1,2606:4700::1", "b.example=1.1.1.1")
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{rule("a.example")}, Resolver: n})
	d, err := g.Decide(t.Context(), egress.Target{Scheme: "https", Host: "A.example.", Port: 443, Method: "GET"})
	if err != nil || n.asked != 1 || d.Host != "a.example" || !sameAddrs(d.Addresses, addrs("1.1.1.1", "2606:4700::1")) {
		t.Errorf("asked %d times: %v, %v", n.asked, d, err)
	}
	if _, err := g.Decide(t.Context(), egress.Target{Scheme: "https", Host: "b.example", Port: 443}); err == nil || n.asked != 1 {
		t.Errorf("asked %d times: %v", n.asked, err)
	}
}

func TestANameThatIsNotThereIsUnavailable(t *testing.T) {
	g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{rule("*")}, Resolver: resolve()})
	_, err := g.Decide(t.Context(), egress.Target{Scheme: "https", Host: "a.example", Port: 443})
	if abi.CodeOf(err) != abi.CodeUnavailable || kept.String() != "refused https://a.example:443" {
		t.Errorf("%v; recorded %q", err, kept)
	}
}

func TestATargetThatIsNoneIsRefused(t *testing.T) {
	g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{with(rule("*"), func(r *abi.HTTPRule) { r.Methods, r.Ports = []string{"*"}, anyPort })}, Resolver: resolve("a.example=1.1.1.1")})
	good := egress.Target{Scheme: "https", Host: "a.example", Port: 443, Method: "GET"}
	if _, err := g.Decide(t.Context(), good); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*egress.Target){
		func(t *egress.Target) { t.Scheme = "ws" },
		func(t *egress.Target) { t.Host = "" },
		func(t *egress.Target) { t.Host = "0x7f.1" },
		func(t *egress.Target) { t.Host = "[::1]" },
		func(t *egress.Target) { t.Port = 0 },
		func(t *egress.Target) { t.Method = "GET / HTTP/1.1\r\n" },
		func(t *egress.Target) { t.Method = "CONNECT" },
		func(t *egress.Target) { t.Method = strings.Repeat("A", 100) },
	} {
		bad := good
		change(&bad)
		if d, err := g.Decide(t.Context(), bad); abi.CodeOf(err) != abi.CodeInvalidArgument || d.Allowed {
			t.Errorf("%#v: %v", bad, err)
		}
	}
	if n := strings.Count(kept.String(), "refused"); n != 8 {
		t.Errorf("recorded %q", kept)
	}
}

func TestWhatIsNotRecordedIsNotAllowed(t *testing.T) {
	target := egress.Target{Scheme: "https", Host: "1.1.1.1", Port: 443, Method: "GET"}
	failing := errors.New("the disk is full")
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{rule("*")}, Record: func(egress.Decision) error { return failing }})
	d, refusal := g.Decide(t.Context(), target)
	if d.Allowed || abi.CodeOf(refusal) != abi.CodeUnavailable || !errors.Is(refusal, failing) {
		t.Errorf("%v, %v", d, refusal)
	}
	failing = abi.Errorf(abi.CodeResourceExhausted, "too many decisions")
	if d, err := g.Decide(t.Context(), target); d.Allowed || !errors.Is(err, failing) {
		t.Errorf("%v, %v", d, err)
	}
	// What is refused anyway has its own reason, and so the grant.
	if d, err := g.Decide(t.Context(), egress.Target{Scheme: "https", Host: "127.0.0.1", Port: 443}); d.Allowed || abi.AsError(err).Grant != "http.allow.addresses: 127.0.0.1/32" {
		t.Errorf("refused and not recorded: %v", err)
	}
	silent, err := egress.New(egress.Config{Rules: []abi.HTTPRule{rule("*")}})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if d, err := silent.Decide(t.Context(), target); d.Allowed || err == nil {
		t.Errorf("nothing to record with: %v", d)
	}
	failing = nil
	if d, err := g.Decide(t.Context(), target); !d.Allowed {
		t.Errorf("once it can be recorded: %v", err)
	}
}

func TestNoRuleRefusesEverything(t *testing.T) {
	g, _ := newGate(t, egress.Config{})
	if _, err := g.Decide(t.Context(), egress.Target{Scheme: "https", Host: "1.1.1.1", Port: 443}); abi.CodeOf(err) != abi.CodePermissionDenied {
		t.Error(err)
	}
}

func TestAClosedGateRefuses(t *testing.T) {
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{rule("*")}})
	target := egress.Target{Scheme: "https", Host: "1.1.1.1", Port: 443}
	if _, err := g.Decide(t.Context(), target); err != nil {
		t.Error(err)
	}
	g.Close()
	if _, err := g.Decide(t.Context(), target); abi.CodeOf(err) != abi.CodeUnavailable {
		t.Error(err)
	}
}

func TestARuleThatCanNotBeReadIsRefused(t *testing.T) {
	for _, r := range []abi.HTTPRule{
		{},
		rule("exa mple.com"), rule("https://example.com"), rule("example.com:443"), rule("127.1"), rule("*.127.0.0.1"), rule("a.*.example"), rule(""),
		with(rule("a.example"), func(r *abi.HTTPRule) { r.Schemes = []string{"ftp"} }),
		with(rule("a.example"), func(r *abi.HTTPRule) { r.Addresses = []netip.Prefix{{}} }),
	} {
		if _, err := egress.New(egress.Config{Rules: []abi.HTTPRule{r}}); abi.CodeOf(err) != abi.CodeInvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}
	if _, err := egress.New(egress.Config{Idle: -1}); abi.CodeOf(err) != abi.CodeInvalidArgument {
		t.Errorf("a negative bound: %v", err)
	}
}

func TestTheMachinesOwnNamesAreResolved(t *testing.T) {
	target := egress.Target{Scheme: "http", Host: "localhost", Port: 80, Method: "GET"}
	granted := local("localhost")
	granted.Addresses = prefixes("127.0.0.1/32", "::1/128")
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{granted}})
	d, err := g.Decide(t.Context(), target)
	if err != nil || len(d.Addresses) == 0 {
		t.Errorf("granted: %+v, %v", d, err)
	}
	granted.Addresses = nil
	g, _ = newGate(t, egress.Config{Rules: []abi.HTTPRule{granted}})
	if _, err := g.Decide(t.Context(), target); !strings.HasPrefix(abi.AsError(err).Grant, "http.allow.addresses: ") {
		t.Errorf("without addresses: %v", err)
	}
}
