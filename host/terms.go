package host

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// Terms are how a grant differs from what a plugin asks for, or from what its
// entry has. The zero value is a grant of all that a new plugin asks for, any
// host and open secrets excepted, and for one that has an entry no more than
// that has.
type Terms struct {
	// Without names capabilities and zones that aren't granted: "kernel",
	// "kernel.network", "files", "files.store", "http", "tool"; and tools by
	// their full names after "tool.", such as "tool.files_read".
	Without []string
	// Hosts are patterns as in abi.HTTPRule, to which requests over HTTP are
	// narrowed; abi.AnyHost leaves them as they are asked for. Without any, a
	// plugin that asks for any host gets no HTTP beyond what its entry has. An
	// entry that has no HTTP yet gets it for these.
	Hosts []string
	// Widen grants what the plugin asks for beyond the grant of its entry, and
	// takes nothing from that but by Without: Hosts are added to those it has.
	Widen bool
}

// notes of what is withheld.
const (
	byWithout = "not granted (--without)"
	byHosts   = "not granted (--host)"
	byWiden   = "not granted (use --widen)"
	noHosts   = "not granted (any host is granted by name alone)"
	noHTTP    = "not granted (it asks for no http to reach)"
	notOpen   = "not granted"
)

// grant returns what a plugin gets that asks for so much and whose entry, if it
// has one, grants old; and in words what it doesn't get, and why.
func (t Terms) grant(asked abi.Capabilities, old *abi.Capabilities) (granted abi.Capabilities, withheld []string, err error) {
	most := clone(asked)
	if len(t.Hosts) > 0 && slices.Contains(t.Without, "http") {
		return granted, nil, abi.Errorf(abi.CodeInvalidArgument, "--without http and --host exclude each other: without http there is no host to reach").
			WithHint("leave one of them out")
	}
	// Each step takes away, and what it took is told before what went earlier.
	step := func(note string, take func() error) error {
		before := clone(most)
		if err := take(); err != nil {
			return err
		}
		if most.Kernel != nil && most.HTTP == nil {
			most.Kernel.Network = false
		}
		withheld = append(beyond(before, most, note), withheld...)
		return nil
	}
	if err := step(noHTTP, func() error { return nil }); err != nil {
		return granted, nil, err
	}
	err = step(byWithout, func() error {
		for _, name := range t.Without {
			if err := takeAway(&most, asked, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return granted, nil, err
	}
	allHosts := clone(most)
	if len(t.Hosts) > 0 {
		err = step(byHosts, func() error { return narrow(most.HTTP, t.Hosts) })
	} else if anyHost(most.HTTP) {
		err = step(noHosts, func() error {
			http := most.HTTP
			most.HTTP = nil
			if old != nil {
				most.HTTP = policy.Effective(*old, abi.Capabilities{HTTP: http}, nil).HTTP
			}
			return nil
		})
	}
	if err != nil {
		return granted, nil, err
	}

	closed := clone(most)
	closeRules(closed.HTTP)
	granted = policy.Effective(closed, closed, nil)
	switch {
	case old == nil:
	case t.Widen:
		if kept := policy.Effective(*old, allHosts, nil).HTTP; kept != nil {
			granted.HTTP.Allow = addRules(granted.HTTP.Allow, kept.Allow)
			granted.HTTP.Secrets = addSecrets(granted.HTTP.Secrets, kept.Secrets)
		}
	default:
		named := granted.HTTP
		granted = policy.Effective(*old, most, nil)
		if old.HTTP == nil && len(t.Hosts) > 0 {
			granted.HTTP = named
		}
	}
	if len(t.Hosts) > 0 && granted.HTTP == nil {
		return granted, nil, abi.Errorf(abi.CodeInvalidArgument, "the entry that there is grants the plugin none of the hosts %s", strings.Join(t.Hosts, ", ")).
			WithHint("say --widen as well, to grant what the plugin asks for beyond its entry")
	}
	// What one step took may be what the entry keeps.
	has := plugin.Words(granted)
	withheld = slices.DeleteFunc(withheld, func(line string) bool {
		return slices.ContainsFunc(has, func(words string) bool { return strings.HasPrefix(line, words+": "+notOpen) })
	})
	return granted, slices.Concat(beyond(closed, granted, byWiden), withheld, openSecrets(asked.HTTP, granted.HTTP)), nil
}

// clone copies what steps change of capabilities.
func clone(c abi.Capabilities) abi.Capabilities {
	if c.Kernel != nil {
		c.Kernel = new(*c.Kernel)
	}
	if c.Files != nil {
		c.Files = new(*c.Files)
	}
	if c.HTTP != nil {
		c.HTTP = new(*c.HTTP)
	}
	if c.Tool != nil {
		c.Tool = new(*c.Tool)
	}
	return c
}

// takeAway removes from a grant a capability or a part of one that is asked
// for. It may have been removed before.
func takeAway(grant *abi.Capabilities, asked abi.Capabilities, name string) error {
	capability, part, _ := strings.Cut(name, ".")
	switch {
	case name == "kernel" && asked.Kernel != nil:
		grant.Kernel = nil
		return nil
	case name == "kernel.network" && asked.Kernel != nil && asked.Kernel.Network:
		if grant.Kernel != nil {
			grant.Kernel.Network = false
		}
		return nil
	case name == "http" && asked.HTTP != nil:
		grant.HTTP = nil
		return nil
	case name == "files" && asked.Files != nil:
		grant.Files = nil
		return nil
	case capability == "files" && asked.Files != nil && asked.Files.Zone(part) != nil:
		if grant.Files != nil {
			*grant.Files.Zone(part) = abi.AccessNone
		}
		return nil
	case name == "tool" && asked.Tool != nil:
		grant.Tool = nil
		return nil
	case capability == "tool" && asked.Tool != nil && slices.Contains(asked.Tool.Names, part):
		if grant.Tool == nil {
			return nil
		}
		grant.Tool.Names = slices.DeleteFunc(slices.Clone(grant.Tool.Names), func(n string) bool { return n == part })
		if len(grant.Tool.Names) == 0 {
			grant.Tool = nil
		}
		return nil
	}
	return abi.Errorf(abi.CodeInvalidArgument, "%q isn't among what the plugin asks for", name).
		WithHint("use kernel, kernel.network, http, files, a zone such as files.store, tool, or a tool such as tool.files_read; sallyport plugin inspect shows what it asks for")
}

// narrow leaves of a scope what is for some hosts.
func narrow(h *abi.HTTPScope, hosts []string) error {
	var asked []string
	if h != nil {
		for _, r := range h.Allow {
			asked = append(asked, r.Hosts...)
		}
	}
	for _, host := range hosts {
		if err := abi.CheckHost(host); err != nil {
			return abi.AsError(err).WithHint("use a name, *.example.com for all names below one, an address, or '*' for any")
		}
		if len(policy.BothHosts(asked, []string{host})) == 0 {
			return abi.Errorf(abi.CodeInvalidArgument, "%q isn't among the hosts that the plugin asks for", host).
				WithHint("sallyport plugin inspect shows what it asks for")
		}
	}
	allow, secrets := h.Allow, h.Secrets
	h.Allow, h.Secrets = nil, nil
	for _, r := range allow {
		if r.Hosts = policy.BothHosts(r.Hosts, hosts); len(r.Hosts) > 0 {
			h.Allow = append(h.Allow, r)
		}
	}
	for _, s := range secrets {
		if s.Hosts = policy.BothHosts(s.Hosts, hosts); len(s.Hosts) > 0 {
			h.Secrets = append(h.Secrets, s)
		}
	}
	return nil
}

func anyHost(h *abi.HTTPScope) bool {
	return h != nil && slices.ContainsFunc(h.Allow, func(r abi.HTTPRule) bool { return slices.Contains(r.Hosts, abi.AnyHost) })
}

// closeRules takes from rules what a manifest leaves to its operator, who writes
// it by hand: of all ports the schemes' own are left, and of all addresses the
// public ones.
func closeRules(h *abi.HTTPScope) {
	if h == nil {
		return
	}
	h.Allow = slices.Clone(h.Allow)
	for i, r := range h.Allow {
		if slices.Contains(r.Ports, abi.AnyPort) {
			h.Allow[i].Ports = nil
		}
		h.Allow[i].Addresses = slices.DeleteFunc(slices.Clone(r.Addresses), func(p netip.Prefix) bool { return p.Bits() == 0 })
	}
}

// addRules adds to list the rules of more that allow what it doesn't, such as
// those in which an operator wrote ports and addresses.
func addRules(list, more []abi.HTTPRule) []abi.HTTPRule {
	both := func(a, b []abi.HTTPRule) []abi.HTTPRule {
		scope := policy.Effective(abi.Capabilities{HTTP: &abi.HTTPScope{Allow: a}}, abi.Capabilities{HTTP: &abi.HTTPScope{Allow: b}}, nil).HTTP
		if scope == nil {
			return nil
		}
		return scope.Allow
	}
	for _, r := range more {
		one := []abi.HTTPRule{r}
		if !reflect.DeepEqual(both(one, list), both(one, one)) {
			list = append(list, r)
		}
	}
	return list
}

// isOpen says whether a manifest leaves to its operator which secret it is.
func isOpen(s abi.HTTPSecret) bool { return s.Name == abi.AnySecret || s.Header == abi.AnySecret }

// addSecrets adds the secrets of more that aren't in list, such as those that an
// operator wrote for a plugin that leaves them open; and the hosts of those that
// are.
func addSecrets(list, more []abi.HTTPSecret) []abi.HTTPSecret {
	for _, s := range more {
		i := slices.IndexFunc(list, func(o abi.HTTPSecret) bool {
			return o.Name == s.Name && strings.EqualFold(o.Header, s.Header) && o.Prefix == s.Prefix
		})
		if i < 0 {
			list = append(list, s)
			continue
		}
		for _, host := range s.Hosts {
			if !slices.ContainsFunc(list[i].Hosts, func(pattern string) bool { return abi.MatchHost(pattern, host) }) {
				list[i].Hosts = append(list[i].Hosts, host)
			}
		}
	}
	return list
}

// openSecrets says in words which secrets a plugin leaves to its operator who
// hasn't written them yet.
func openSecrets(asked, granted *abi.HTTPScope) []string {
	if asked == nil || granted == nil {
		return nil
	}
	var out []string
	for _, s := range asked.Secrets {
		one := *granted
		one.Secrets = []abi.HTTPSecret{s}
		written := policy.Effective(abi.Capabilities{HTTP: &one}, abi.Capabilities{HTTP: granted}, nil)
		if isOpen(s) && len(written.HTTP.Secrets) == 0 {
			words := plugin.Words(abi.Capabilities{HTTP: &abi.HTTPScope{Secrets: []abi.HTTPSecret{s}}})
			out = append(out, words[len(words)-1]+": "+notOpen)
		}
	}
	return out
}

// beyond says in words, each with a note, what asked has and granted hasn't.
// Bounds of what isn't granted at all say nothing, and open secrets are told
// apart.
func beyond(asked, granted abi.Capabilities, note string) []string {
	has := plugin.Words(granted)
	if h := asked.HTTP; h != nil {
		if granted.HTTP == nil {
			has = append(has, plugin.Words(abi.Capabilities{HTTP: &abi.HTTPScope{MaxTime: h.MaxTime, MaxBytes: h.MaxBytes}})...)
		}
		asked = clone(asked)
		asked.HTTP.Secrets = slices.DeleteFunc(slices.Clone(h.Secrets), isOpen)
	}
	var out []string
	for _, words := range plugin.Words(asked) {
		if !slices.Contains(has, words) {
			out = append(out, words+": "+note)
		}
	}
	return out
}
