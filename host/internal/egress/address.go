package egress

import (
	"net/netip"
	"slices"

	"github.com/sallyport-dev/sallyport/abi"
)

// A network is a range of addresses that isn't public, and what it is.
type network struct {
	prefix netip.Prefix
	kind   string
}

// special are IANA's registries of special-purpose addresses, IPv4 (RFC 6890
// and later, https://www.iana.org/assignments/iana-ipv4-special-registry) and
// IPv6 (https://www.iana.org/assignments/iana-ipv6-special-registry), and of
// multicast, as of 2025, without the few that are reachable for all but have
// no web servers either way; and a cloud's own address outside of those. The
// metadata addresses 169.254.169.254, 100.100.100.200, 192.0.0.192 and
// fd00:ec2::254 are within. What isn't in 2000::/3 is refused without a row;
// the rows there give it a name.
var special = []network{
	{netip.MustParsePrefix("0.0.0.0/8"), "of this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by a carrier's customers"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's own"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "of a protocol"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("192.31.196.0/24"), "a sink of name servers"},
	{netip.MustParsePrefix("192.52.193.0/24"), "a multicast relay"},
	{netip.MustParsePrefix("192.88.99.0/24"), "a 6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("192.175.48.0/24"), "a sink of name servers"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for measurements"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::/96"), "an IPv4 address in disguise"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "a local translation"},
	{netip.MustParsePrefix("100::/32"), "to be discarded"},
	{netip.MustParsePrefix("2001::/32"), "a Teredo tunnel"},
	{netip.MustParsePrefix("2001::/23"), "of a protocol"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("2002::/16"), "a 6to4 tunnel"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "a sink of name servers"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},
	{netip.MustParsePrefix("5f00::/16"), "for routing"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// translated is how networks with IPv6 alone reach IPv4: an address here is
	// what its last four bytes are.
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

// whyNotPublic says what an address is that isn't public unicast, "" of one
// that is. a is unmapped.
func whyNotPublic(a netip.Addr) string {
	if a.Zone() != "" {
		return "bound to a zone"
	}
	if translated.Contains(a) {
		b := a.As16()
		return whyNotPublic(netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, n := range special {
		if n.prefix.Contains(a) {
			return n.kind
		}
	}
	if a.Is4() || globalUnicast.Contains(a) {
		return ""
	}
	return "not unicast that is routed for all"
}

// permits says whether a rule lets an unmapped address be dialled.
func permits(rule abi.HTTPRule, a netip.Addr) bool {
	return whyNotPublic(a) == "" ||
		slices.ContainsFunc(rule.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}
