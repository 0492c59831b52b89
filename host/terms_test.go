package host_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/policy"
)

func rule(hosts ...string) abi.HTTPRule { return abi.HTTPRule{Hosts: hosts} }

func scope(rules ...abi.HTTPRule) *abi.HTTPScope { return &abi.HTTPScope{Allow: rules} }

func web(h *abi.HTTPScope) abi.Capabilities {
	return abi.Capabilities{Kernel: &abi.KernelScope{Languages: []string{"python"}, Network: true}, HTTP: h}
}

var (
	token = abi.HTTPSecret{Name: "token", Header: "Authorization", Prefix: "Bearer ", Hosts: []string{"a.example"}}
	open  = abi.HTTPSecret{Name: "*", Header: "*", Hosts: []string{"*"}}
)

// withSecrets returns a copy of h with secrets.
func withSecrets(h *abi.HTTPScope, secrets ...abi.HTTPSecret) *abi.HTTPScope {
	out := *h
	out.Secrets = secrets
	return &out
}

func TestAnyHostIsGrantedByNameAlone(t *testing.T) {
	posts := abi.HTTPRule{Hosts: []string{"*"}, Methods: []string{"POST"}}
	tests := []struct {
		name     string
		asked    *abi.HTTPScope
		old      *abi.HTTPScope // of the entry; nil is no entry
		terms    host.Terms
		want     *abi.HTTPScope // nil is none, and no network
		withheld string
		unnamed  bool
	}{
		{"a host is granted as it is asked for", scope(rule("a.example")), nil, host.Terms{}, scope(rule("a.example")), "", false},
		{"any host isn't", scope(rule("*")), nil, host.Terms{}, nil, "to any host, port 443: not granted (any host is granted by name alone)", true},
		{"nor what comes with it", scope(rule("a.example"), rule("b.example", "*")), nil, host.Terms{}, nil, "to a.example, port 443: not granted (any host", true},
		{"widening names none", scope(rule("*")), nil, host.Terms{Widen: true}, nil, "not granted (any host", true},
		{"a host that is named", scope(rule("*")), nil, host.Terms{Hosts: []string{"a.example"}}, scope(rule("a.example")), "to any host, port 443: not granted (--host)", false},
		{"some that are named", scope(rule("*"), posts), nil, host.Terms{Hosts: []string{"a.example", "*.b.example"}}, scope(rule("a.example", "*.b.example"), abi.HTTPRule{Hosts: []string{"a.example", "*.b.example"}, Methods: []string{"POST"}}), "not granted (--host)", false},
		{"any by name", scope(rule("*")), nil, host.Terms{Hosts: []string{"*"}}, scope(rule("*")), "", false},
		{"rules for other hosts go", scope(rule("a.example"), rule("*.b.example")), nil, host.Terms{Hosts: []string{"c.b.example"}}, scope(rule("c.b.example")), "to a.example, port 443: not granted (--host)", false},
		{"left out on purpose", scope(rule("*")), nil, host.Terms{Without: []string{"http"}}, nil, "to any host, port 443: not granted (--without)", false},

		{"an entry keeps what it has", scope(rule("*")), scope(rule("a.example")), host.Terms{}, scope(rule("a.example")), "to any host, port 443: not granted (any host", true},
		{"any host as well", scope(rule("*")), scope(rule("*")), host.Terms{}, scope(rule("*")), "", false},
		{"widening leaves its hosts", scope(rule("*")), scope(rule("a.example")), host.Terms{Widen: true}, scope(rule("a.example")), "not granted (any host", true},
		{"widening to hosts", scope(rule("*")), scope(rule("a.example")), host.Terms{Widen: true, Hosts: []string{"b.example"}}, scope(rule("b.example"), rule("a.example")), "not granted (--host)", false},
		{"hosts within the entry", scope(rule("*")), scope(rule("*.example")), host.Terms{Hosts: []string{"a.example"}}, scope(rule("a.example")), "not granted (--host)", false},
		{"hosts in part within the entry", scope(rule("*")), scope(rule("a.example")), host.Terms{Hosts: []string{"a.example", "b.example"}}, scope(rule("a.example")), "to a.example and b.example, port 443: not granted (use --widen)", false},
		{"less is asked for", scope(rule("a.example")), scope(rule("*")), host.Terms{}, scope(rule("a.example")), "", false},
		{"more is asked for", scope(rule("a.example"), rule("b.example")), scope(rule("a.example")), host.Terms{}, scope(rule("a.example")), "to b.example, port 443: not granted (use --widen)", false},

		{"a secret with its hosts", withSecrets(scope(rule("*")), token), nil, host.Terms{Hosts: []string{"a.example"}}, withSecrets(scope(rule("a.example")), token), "not granted (--host)", false},
		{"not for other hosts", withSecrets(scope(rule("*")), token), nil, host.Terms{Hosts: []string{"b.example"}}, scope(rule("b.example")), "has the host put the secret token", false},
		{"an open secret never", withSecrets(scope(rule("a.example")), open), nil, host.Terms{}, scope(rule("a.example")), "you write in the policy by hand: not granted", false},
		{"what was written for it stays", withSecrets(scope(rule("a.example")), open), withSecrets(scope(rule("a.example")), token), host.Terms{}, withSecrets(scope(rule("a.example")), token), "", false},
		{"when it is widened too", withSecrets(scope(rule("a.example"), rule("b.example")), open), withSecrets(scope(rule("a.example")), token), host.Terms{Widen: true}, withSecrets(scope(rule("a.example"), rule("b.example")), token), "", false},
		{"and when its hosts are named", withSecrets(scope(rule("*")), open), withSecrets(scope(rule("a.example")), token), host.Terms{Widen: true, Hosts: []string{"a.example", "b.example"}}, withSecrets(scope(rule("a.example", "b.example")), token), "not granted (--host)", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, a := filepath.Join(t.TempDir(), "policy.yaml"), artifact(1, web(tt.asked))
			if tt.old != nil {
				writeEntry(t, file, policy.Entry{Name: a.Manifest.Name, Digest: a.Digest, Grant: web(tt.old)})
			}
			ap, err := host.Prepare(file, a, tt.terms)
			if err != nil {
				t.Fatal(err)
			}
			want := web(tt.want)
			want.Kernel.Network = tt.want != nil
			if got := ap.Entry.Grant; !reflect.DeepEqual(got, want) {
				t.Errorf("granted %+v %+v, want %+v", got.Kernel, got.HTTP, tt.want)
			}
			withheld := strings.Join(ap.Withheld, "\n")
			if !strings.Contains(withheld, tt.withheld) || (tt.withheld == "") != (withheld == "") || ap.HostsUnnamed != tt.unnamed {
				t.Errorf("withheld is\n%s\nand its hosts are to be named: %v", withheld, ap.HostsUnnamed)
			}
			if network := strings.Contains(withheld, "code in the kernel reaches the network"); network == want.Kernel.Network {
				t.Errorf("withheld says of the kernel's network: %v, in\n%s", network, withheld)
			}
			// What came of it is a policy, and doing the same again changes nothing.
			if err := ap.Write(); err != nil {
				t.Fatal(err)
			}
			again, err := host.Prepare(file, a, host.Terms{})
			if err != nil || !reflect.DeepEqual(again.Entry, ap.Entry) || !slices.Equal(again.Changes, []string{"the grant stays as it was"}) {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func TestHostsThatCantBeGrantedAreRefused(t *testing.T) {
	tests := []struct {
		name  string
		asked abi.Capabilities
		old   *abi.HTTPScope
		terms host.Terms
		want  string
		hint  string
	}{
		{"not asked for", web(scope(rule("a.example"))), nil, host.Terms{Hosts: []string{"b.example"}}, `"b.example" isn't among the hosts`, "inspect"},
		{"any where some are asked for", web(scope(rule("a.example"))), nil, host.Terms{Hosts: []string{"*", "b.example"}}, `"b.example" isn't among the hosts`, "inspect"},
		{"no http is asked for", web(nil), nil, host.Terms{Hosts: []string{"a.example"}}, `"a.example" isn't among the hosts`, "inspect"},
		{"without http", web(scope(rule("*"))), nil, host.Terms{Without: []string{"http"}, Hosts: []string{"a.example"}}, "exclude each other", "leave one"},
		{"a mistake", web(scope(rule("*"))), nil, host.Terms{Hosts: []string{"https://a.example"}}, `host "https://a.example": name the host alone`, "*.example.com"},
		{"beyond the entry", web(scope(rule("*"))), scope(rule("a.example")), host.Terms{Hosts: []string{"b.example"}}, "grants the plugin none of the hosts b.example", "--widen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, a := filepath.Join(t.TempDir(), "policy.yaml"), artifact(1, tt.asked)
			if tt.old != nil {
				writeEntry(t, file, policy.Entry{Name: a.Manifest.Name, Digest: a.Digest, Grant: web(tt.old)})
			}
			_, err := host.Prepare(file, a, tt.terms)
			if e := abi.AsError(err); e == nil || e.Code != abi.CodeInvalidArgument || !strings.Contains(e.Message, tt.want) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got %+v, want %s", e, tt.want)
			}
		})
	}
}

// TestWideningOnlyAdds names a host for an entry with a rule and secrets that
// were written by hand, and then once more.
func TestWideningOnlyAdds(t *testing.T) {
	wide := abi.HTTPRule{
		Hosts: []string{"*"}, Schemes: []string{"http", "https"}, Methods: []string{"*"}, Ports: []abi.PortRange{abi.AnyPort},
		Addresses: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	}
	byHand := abi.HTTPRule{
		Hosts: []string{"inner.example"}, Schemes: []string{"http"}, Methods: []string{"GET"}, Ports: []abi.PortRange{{First: 8080, Last: 8090}},
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	inner := abi.HTTPSecret{Name: "inner", Header: "X-Token", Hosts: []string{"inner.example"}}
	fixed := token
	fixed.Hosts = []string{"*.example"}
	file, a := filepath.Join(t.TempDir(), "policy.yaml"), artifact(1, web(withSecrets(scope(wide), open, fixed)))
	had := token
	had.Hosts = []string{"a.example", "inner.example"}
	writeEntry(t, file, policy.Entry{Name: a.Manifest.Name, Digest: a.Digest, Grant: web(withSecrets(scope(byHand), inner, had))})

	named := wide
	named.Hosts, named.Ports, named.Addresses = []string{"b.example"}, nil, nil
	var first abi.Capabilities
	for i := range 2 {
		ap, err := host.Prepare(file, a, host.Terms{Widen: true, Hosts: []string{"b.example"}})
		if err == nil {
			err = ap.Write()
		}
		if err != nil {
			t.Fatal(err)
		}
		got := ap.Entry.Grant
		if i == 0 {
			first = got
		}
		if !reflect.DeepEqual(got, first) {
			t.Errorf("the second time grants %+v, and the first %+v", got.HTTP, first.HTTP)
		}
		contains := func(r abi.HTTPRule) bool {
			return slices.ContainsFunc(got.HTTP.Allow, func(o abi.HTTPRule) bool { return fmt.Sprint(o) == fmt.Sprint(r) })
		}
		if len(got.HTTP.Allow) != 2 || !contains(named) || !contains(byHand) {
			t.Errorf("it allows %+v", got.HTTP.Allow)
		}
		hosts := map[string][]string{}
		for _, s := range got.HTTP.Secrets {
			hosts[s.Name] = slices.Sorted(slices.Values(s.Hosts))
		}
		if want := map[string][]string{"inner": {"inner.example"}, "token": {"a.example", "b.example", "inner.example"}}; !reflect.DeepEqual(hosts, want) {
			t.Errorf("its secrets are for %v, want %v", hosts, want)
		}
	}
}

// TestAnEntryWithoutHTTPGetsTheHostsThatAreNamed adds hosts to an entry that
// was made without any, and nothing else.
func TestAnEntryWithoutHTTPGetsTheHostsThatAreNamed(t *testing.T) {
	asked := web(scope(rule("*")))
	asked.Files = &abi.FilesScope{Upload: abi.AccessRead}
	file, a := filepath.Join(t.TempDir(), "policy.yaml"), artifact(1, asked)
	writeEntry(t, file, policy.Entry{Name: a.Manifest.Name, Digest: a.Digest})
	for range 2 {
		ap, err := host.Prepare(file, a, host.Terms{Hosts: []string{"b.example"}})
		if err == nil {
			err = ap.Write()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := ap.Entry.Grant; !reflect.DeepEqual(got, abi.Capabilities{HTTP: scope(rule("b.example"))}) {
			t.Errorf("it grants %+v, %+v, %+v", got.Kernel, got.Files, got.HTTP)
		}
	}
}

func TestPartsOfACapabilityCanBeLeftOut(t *testing.T) {
	a := artifact(1, web(scope(rule("a.example"))))
	prepare := func(without ...string) *host.Approval {
		ap, err := host.Prepare(filepath.Join(t.TempDir(), "policy.yaml"), a, host.Terms{Without: without})
		if err != nil {
			t.Fatal(err)
		}
		return ap
	}
	if g := prepare("kernel.network").Entry.Grant; g.Kernel == nil || g.Kernel.Network || g.HTTP == nil {
		t.Errorf("without kernel.network: %+v %+v", g.Kernel, g.HTTP)
	}
	if g := prepare("kernel").Entry.Grant; g.Kernel != nil || g.HTTP == nil {
		t.Errorf("without kernel: %+v %+v", g.Kernel, g.HTTP)
	}
	ap := prepare("http")
	if g := ap.Entry.Grant; g.Kernel == nil || g.Kernel.Network || g.HTTP != nil {
		t.Errorf("without http: %+v %+v", g.Kernel, g.HTTP)
	}
	if len(ap.Withheld) != 2 {
		t.Errorf("withheld is %q", ap.Withheld)
	}
	alone, err := host.Prepare(filepath.Join(t.TempDir(), "policy.yaml"), artifact(2, web(nil)), host.Terms{})
	if err != nil || alone.Entry.Grant.Kernel.Network || len(alone.Withheld) != 1 || !strings.Contains(alone.Withheld[0], "it asks for no http to reach") {
		t.Errorf("a network without http: %+v, %v", alone, err)
	}
}

func writeEntry(t *testing.T, file string, e policy.Entry) {
	t.Helper()
	p := policy.Policy{Version: policy.Version, Plugins: []policy.Entry{e}}
	b, err := p.Encode()
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
