package egress

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Target is what a request asks for.
type Target struct {
	Scheme string // http or https
	// Host is a name in lower-case ASCII without a final dot, or an address
	// without brackets as netip writes it.
	Host   string
	Port   uint16
	Method string // "" when it can't be seen
}

// String writes t as a grant does: "https://example.com:443 GET".
func (t Target) String() string {
	s := t.Scheme + "://" + net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port)))
	if t.Method != "" {
		s += " " + t.Method
	}
	return s
}

// authority is what stands in a URL and in the Host header.
func (t Target) authority() string {
	if t.Port != abi.SchemePort(t.Scheme) {
		return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port)))
	}
	if strings.Contains(t.Host, ":") {
		return "[" + t.Host + "]"
	}
	return t.Host
}

// ParseTarget reads the target of a URL; its Method is left empty. ws and wss
// are read as http and https. It refuses what two readers could take for
// different hosts, with invalid_argument.
func ParseTarget(rawURL string) (Target, error) {
	if len(rawURL) > abi.MaxURLBytes {
		return Target{}, invalid("a url of %d bytes: %d is the most", len(rawURL), abi.MaxURLBytes)
	}
	if i := strings.IndexFunc(rawURL, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }); i >= 0 {
		return Target{}, invalid("the url has the character %q", rawURL[i]).WithHint("percent-encode it")
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return Target{}, invalid("the url can't be read: %s", brief(err.Error()))
	}
	t, err := targetOf(u)
	if err != nil {
		return Target{}, err
	}
	if _, rest, _ := strings.Cut(rawURL, "://"); !strings.HasPrefix(rest, u.Host) {
		return Target{}, invalid("the host of %q is percent-encoded", brief(rawURL)).WithHint("write the host as it is")
	}
	return t, nil
}

// targetOf is ParseTarget of a URL that was parsed before.
func targetOf(u *url.URL) (Target, error) {
	var t Target
	switch u.Scheme {
	case "http", "ws":
		t.Scheme = "http"
	case "https", "wss":
		t.Scheme = "https"
	default:
		return t, notHTTP(u.Scheme)
	}
	if u.User != nil {
		return t, invalid("the url has user information before its host").WithHint("send credentials in a header")
	}
	if u.Opaque != "" || u.Host == "" {
		return t, invalid("the url has no host").WithHint("write it as %s://host/path", t.Scheme)
	}
	var err error
	t.Host, t.Port, err = splitAuthority(u.Host, abi.SchemePort(t.Scheme))
	return t, err
}

// splitAuthority reads "host", "host:port" or "[address]:port". Without a port
// it is defaultPort; zero means that there has to be one.
func splitAuthority(authority string, defaultPort uint16) (host string, port uint16, err error) {
	host, digits, hasPort := strings.Cut(authority, ":")
	if rest, ok := strings.CutPrefix(authority, "["); ok {
		var after string
		if host, after, ok = strings.Cut(rest, "]"); !ok || !strings.Contains(host, ":") {
			return "", 0, invalid("host %q: the brackets don't hold an IPv6 address", brief(authority))
		}
		if digits, hasPort = strings.CutPrefix(after, ":"); !hasPort && after != "" {
			return "", 0, invalid("host %q: something follows the brackets", brief(authority))
		}
	}
	if host, err = canonicalHost(host); err != nil {
		return "", 0, err
	}
	if !hasPort {
		if defaultPort == 0 {
			return "", 0, invalid("%q has no port", brief(authority)).WithHint("write host:port")
		}
		return host, defaultPort, nil
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || digits[0] < '1' || digits[0] > '9' {
		return "", 0, invalid("host %q: %q is no port", brief(authority), brief(digits)).WithHint("use 1 to 65535, without leading zeros")
	}
	return host, uint16(n), nil
}

// canonical returns t as Decide compares it.
func (t Target) canonical() (Target, error) {
	if t.Scheme != "http" && t.Scheme != "https" {
		return t, notHTTP(t.Scheme)
	}
	if t.Port == 0 {
		return t, invalid("the port is 0").WithHint("use 1 to 65535")
	}
	if !isMethod(t.Method) {
		return t, invalid("the method is %q", brief(t.Method)).WithHint("use one such as GET")
	}
	var err error
	t.Host, err = canonicalHost(t.Host)
	return t, err
}

// canonicalHost reads a name or an address without brackets.
func canonicalHost(host string) (string, error) {
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return "", invalid("host %q is no IPv6 address", brief(host))
		}
		if a.Zone() != "" {
			return "", invalid("host %q has a zone", brief(host)).WithHint("leave out the part from the percent sign on")
		}
		return a.Unmap().String(), nil
	}
	name := host
	if !isASCII(host) {
		mapped, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", invalid("host %q is no name: %v", brief(host), err)
		}
		name = mapped
	}
	name, err := canonicalName(name)
	if err != nil || !endsInNumber(name) {
		return name, err
	}
	if a, err := netip.ParseAddr(name); err == nil && isASCII(host) {
		return a.String(), nil
	}
	return "", invalid("host %q is ambiguous: some programs read an address in it", brief(host)).
		WithHint("write an IPv4 address as four decimal numbers, such as 192.0.2.1")
}

// canonicalName checks an ASCII name, label by label. Underscores, and hyphens
// in the third and fourth place, are in names that people use; IDNA's rules
// hold for what is encoded by it.
func canonicalName(name string) (string, error) {
	given := name
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > abi.MaxHostBytes {
		return "", invalid("host %q has %d bytes: a name has 1 to %d", brief(given), len(name), abi.MaxHostBytes)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notInName) {
			return "", invalid("host %q: %q is no part of a name", brief(given), brief(label)).
				WithHint("use 1 to 63 letters, digits and hyphens between dots")
		}
		if strings.HasPrefix(label, "xn--") {
			if again, err := idna.Lookup.ToASCII(label); err != nil || again != label {
				return "", invalid("host %q: %q encodes no name", brief(given), brief(label))
			}
		}
	}
	return name, nil
}

// endsInNumber says whether some reader of addresses could take a name for one:
// its last label is decimal, octal or hexadecimal.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(last, digits) == ""
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// isMethod says whether a method may stand in a request line. Empty is one that
// can't be seen.
func isMethod(method string) bool {
	return method == "" || len(method) <= 64 && method != http.MethodConnect && httpguts.ValidHeaderFieldName(method)
}

// brief cuts what somebody else wrote to what a message can bear.
func brief(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

func invalid(format string, args ...any) *abi.Error {
	return abi.Errorf(abi.CodeInvalidArgument, format, args...)
}

func notHTTP(scheme string) *abi.Error {
	return invalid("the scheme %q is neither http nor https", brief(scheme)).WithHint("use http or https")
}
