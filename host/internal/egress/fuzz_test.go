package egress_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// seeds are URLs, good and bad.
func seeds() []string {
	var list []string
	for u := range targets {
		list = append(list, u)
	}
	for u := range malformed {
		list = append(list, u)
	}
	slices.Sort(list)
	return list
}

func TestFuzzTargetsHaveSeeds(t *testing.T) {
	if n := len(seeds()); n < 80 {
		t.Errorf("there are %d urls", n)
	}
	if n := len(greetings(t)); n < 15 {
		t.Errorf("there are %d greetings", n)
	}
}

// FuzzParseTarget holds that a URL is refused, or means a target that is
// written in one way only and that net/url sees in it too.
func FuzzParseTarget(f *testing.F) {
	for _, u := range seeds() {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := egress.ParseTarget(raw)
		if err != nil {
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatal(err)
			}
			return
		}
		if got.Scheme != "http" && got.Scheme != "https" || got.Port == 0 || got.Host == "" || got.Method != "" {
			t.Fatalf("%q: %#v", raw, got)
		}
		if strings.ContainsFunc(got.Host, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:", r)
		}) || strings.HasSuffix(got.Host, ".") {
			t.Fatalf("%q: the host is %q", raw, got.Host)
		}
		if a, err := netip.ParseAddr(got.Host); err == nil && (a.String() != got.Host || a.Is4In6() || a.Zone() != "") {
			t.Fatalf("%q: the address is %q", raw, got.Host)
		}
		again, err := egress.ParseTarget(strings.TrimSuffix(got.String(), " "))
		if err != nil || again != got {
			t.Fatalf("%q: %v becomes %v, %v", raw, got, again, err)
		}
		u, err := url.Parse(raw)
		if err != nil || u.User != nil || u.Hostname() == "" {
			t.Fatalf("%q: %v, %v", raw, u, err)
		}
	})
}

// FuzzDecide holds that what is allowed is covered by a rule whose every address
// is public or granted by it, and that everything is recorded as it was decided.
func FuzzDecide(f *testing.F) {
	for _, u := range seeds() {
		f.Add(u, "GET", "a.example", uint16(443), []byte{10, 0, 0, 1, 1, 1, 1, 1}, []byte{10, 0, 0, 0}, uint8(8))
		f.Add(u, "POST", "*", uint16(80), []byte{127, 0, 0, 1}, []byte{127, 0, 0, 1}, uint8(32))
		f.Add(u, "", "*.example.com", uint16(8443), []byte{8, 8, 8, 8}, []byte{0, 0, 0, 0}, uint8(0))
	}
	f.Fuzz(func(t *testing.T, raw, method, host string, port uint16, answer, granted []byte, bits uint8) {
		target, err := egress.ParseTarget(raw)
		if err != nil {
			return
		}
		target.Method = method
		narrow, wide := rule(host), rule("*")
		narrow.Methods, wide.Methods = []string{"*"}, []string{"GET"}
		narrow.Ports, narrow.Schemes = []abi.PortRange{{First: port, Last: port}}, []string{"http", "https"}
		if a, ok := netip.AddrFromSlice(granted); ok {
			if p, err := a.Prefix(int(bits)); err == nil {
				narrow.Addresses = []netip.Prefix{p}
			}
		}
		n := &names{answers: map[string][][]netip.Addr{}}
		var answers []netip.Addr
		for i := 0; i+4 <= len(answer); i += 4 {
			answers = append(answers, netip.AddrFrom4([4]byte(answer[i:])))
		}
		for i := 0; i+16 <= len(answer); i += 16 {
			answers = append(answers, netip.AddrFrom16([16]byte(answer[i:])))
		}
		n.answers[target.Host] = [][]netip.Addr{answers}
		rules := []abi.HTTPRule{narrow, wide}
		kept := &record{}
		g, err := egress.New(egress.Config{Rules: rules, Resolver: n, Record: kept.add})
		if err != nil {
			return
		}
		defer g.Close()
		d, err := g.Decide(t.Context(), target)
		if len(kept.list) != 1 || kept.list[0].Allowed != d.Allowed || kept.list[0].Target != d.Target || (err == nil) != d.Allowed {
			t.Fatalf("%v, %v; recorded %v", d, err, kept)
		}
		if !d.Allowed {
			if d.Err == nil || d.Rule != -1 {
				t.Fatalf("%#v", d)
			}
			return
		}
		if len(d.Addresses) == 0 || d.Rule < 0 || d.Rule > 1 {
			t.Fatalf("%#v", d)
		}
		if d.Rule == 1 && (d.Scheme != "https" || d.Port != 443 || d.Method != "GET" && d.Method != "") {
			t.Fatalf("%v passed by the wide rule", d.Target)
		}
		if d.Rule == 0 && d.Port != port {
			t.Fatalf("%v passed by port %d", d.Target, port)
		}
		for _, a := range d.Addresses {
			ok := public(a)
			for _, p := range rules[d.Rule].Addresses {
				ok = ok || p.Contains(a) || p.Addr().Is4In6() && p.Contains(netip.AddrFrom16(a.As16()))
			}
			if !ok {
				t.Fatalf("%v may be dialled for %v", a, d.Target)
			}
		}
	})
}

// public says roughly, and by other means than the gate, whether an address may
// be public: the gate refuses more.
func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is4In6() || a.Zone() != "" {
		return false
	}
	b := a.AsSlice()
	if a.Is4() {
		return b[0] != 0 && b[0] < 224 && a != netip.MustParseAddr("168.63.129.16") && (b[0] != 100 || b[1]&0xc0 != 64)
	}
	if b[0] == 0 && b[1] == 0x64 {
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}
	return b[0]&0xe0 == 0x20 && (b[0] != 0x20 || b[1] != 2)
}

// FuzzTunnel holds that what reaches an origin through a tunnel is what the
// client said, and only if a server name in it is the tunnel's host.
func FuzzTunnel(f *testing.F) {
	for _, said := range greetings(f) {
		f.Add(said)
	}
	heard := make(chan []byte, 16)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				heard <- b
			}()
		}
	}()
	only := abi.HTTPRule{Hosts: []string{"a.example"}, Ports: anyPort, Addresses: loopback}
	g, _ := newGate(f, egress.Config{Rules: []abi.HTTPRule{only}, Resolver: resolve("a.example=127.0.0.1")})
	proxy := serve(f, g)
	target := "a.example:" + portOf(l.Addr())
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) > 0 && said[0] != 22 {
			return // another protocol, which net/http takes half a second to refuse
		}
		tu := open(t, proxy, target)
		_, _ = tu.Write(said)
		_ = tu.Conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, tu)
		_ = tu.Close()
		select {
		case got := <-heard:
			if len(got) == 0 {
				return
			}
			if !bytes.Equal(got, said) {
				t.Fatalf("the origin heard %q of %q", got, said)
			}
			if !bytes.Contains(bytes.ToLower(said), []byte("a.example")) {
				t.Fatalf("the origin heard %q", got)
			}
		case <-time.After(patience):
			t.Fatal("the origin's connection doesn't end")
		}
	})
}

// greetings are what clients say first.
func greetings(tb testing.TB) [][]byte {
	list := [][]byte{nil, {22}, []byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"), []byte("SSH-2.0-x\r\n"), {22, 3, 1, 0, 0}}
	for _, name := range []string{"a.example", "b.example", "A.EXAMPLE", "", "xn--pple-43d.example"} {
		hello := clientHello(tb, name)
		list = append(list, hello, hello[:len(hello)/2], append(append([]byte{}, hello...), "early data"...))
	}
	return list
}
