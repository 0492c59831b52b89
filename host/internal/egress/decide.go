package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Decision is what came of looking at a Target.
type Decision struct {
	Target
	// Addresses are what the host stands for: of an allowed decision those that
	// may be dialled, of a refused one those that were looked at.
	Addresses []netip.Addr
	Allowed   bool
	// Rule is the place in Config.Rules of the one that allowed it, -1 when
	// none did.
	Rule int
	// Err is why it wasn't allowed.
	Err *abi.Error
}

// Decide looks at a target, resolves its host and records the decision. The
// error is the decision's: permission_denied with the grant that is lacking,
// invalid_argument, or, of a name that couldn't be resolved, unavailable. Of one
// that would be allowed and couldn't be recorded it is Record's *abi.Error, else
// unavailable.
func (g *Gate) Decide(ctx context.Context, t Target) (Decision, error) {
	d := Decision{Target: t, Rule: -1}
	t, err := t.canonical()
	if err != nil {
		return g.refuse(d, err)
	}
	d.Target = t
	if !g.covers(t) {
		return g.refuse(d, denied("no rule allows "+t.String(), "http.allow: "+t.String()))
	}
	if d.Addresses, err = g.resolve(ctx, t.Host); err != nil {
		return g.refuse(d, err)
	}
	d.Rule = slices.IndexFunc(g.config.Rules, func(r abi.HTTPRule) bool {
		return r.Covers(t.Scheme, t.Host, t.Port, t.Method) &&
			!slices.ContainsFunc(d.Addresses, func(a netip.Addr) bool { return !permits(r, a) })
	})
	if d.Rule < 0 {
		return g.refuse(d, g.lacking(d))
	}
	if g.ctx.Err() != nil {
		d.Rule = -1
		return g.refuse(d, closedError())
	}
	d.Allowed = true
	return g.record(d)
}

// covers says whether some rule covers t, its addresses aside.
func (g *Gate) covers(t Target) bool {
	return slices.ContainsFunc(g.config.Rules, func(r abi.HTTPRule) bool {
		return r.Covers(t.Scheme, t.Host, t.Port, t.Method)
	})
}

// decideURL decides on a URL that was parsed before.
func (g *Gate) decideURL(ctx context.Context, method string, u *url.URL) (Decision, error) {
	t, err := targetOf(u)
	if err != nil {
		return g.refuse(Decision{Target: Target{Scheme: brief(u.Scheme), Host: brief(u.Host)}, Rule: -1}, err)
	}
	t.Method = method
	return g.Decide(ctx, t)
}

// refuse records that d isn't allowed, for err.
func (g *Gate) refuse(d Decision, err error) (Decision, error) {
	d.Err = abi.AsError(err)
	d.Scheme, d.Host, d.Method = brief(d.Scheme), brief(d.Host), brief(d.Method)
	return g.record(d)
}

// record records d and returns it with its error. What can't be recorded isn't
// allowed; a refusal keeps its reason.
func (g *Gate) record(d Decision) (Decision, error) {
	err := errors.New("there is nothing to record decisions with")
	if g.config.Record != nil {
		err = g.config.Record(d)
	}
	if err != nil && d.Err == nil {
		d.Allowed, d.Rule = false, -1
		e, ok := errors.AsType[*abi.Error](err)
		if !ok {
			e = abi.Errorf(abi.CodeUnavailable, "the decision on %s couldn't be recorded", d.Target).WithCause(err)
		}
		d.Err = e
	}
	if d.Err != nil {
		return d, d.Err
	}
	return d, nil
}

// resolve returns the addresses of a canonical host, unmapped, each once.
func (g *Gate) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	answers, err := g.config.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		why := err.Error()
		if failure, ok := errors.AsType[*net.DNSError](err); ok {
			why = failure.Err // and not whom this machine asks for names
		}
		e := abi.Errorf(abi.CodeUnavailable, "the name %s couldn't be resolved: %s", host, why).WithCause(err)
		e.Retryable = true
		return nil, e
	}
	var list []netip.Addr
	for _, a := range answers {
		if a = a.Unmap(); a.IsValid() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil, abi.Errorf(abi.CodeUnavailable, "the name %s has no addresses", host)
	}
	return list, nil
}

// lacking is the refusal of a target that some rule covers and whose addresses
// none permits. It names the first address at fault under the first such rule.
func (g *Gate) lacking(d Decision) *abi.Error {
	for _, r := range g.config.Rules {
		if !r.Covers(d.Scheme, d.Host, d.Port, d.Method) {
			continue
		}
		for _, a := range d.Addresses {
			if permits(r, a) {
				continue
			}
			what := fmt.Sprintf("%s has the address %s, which is %s", d.Host, a, whyNotPublic(a))
			if a.String() == d.Host {
				what = fmt.Sprintf("the address %s is %s", a, whyNotPublic(a))
			}
			return denied(what, "http.allow.addresses: "+netip.PrefixFrom(a.WithZone(""), a.BitLen()).String())
		}
	}
	return denied("no rule allows "+d.Target.String(), "http.allow: "+d.Target.String())
}

func denied(message, grant string) *abi.Error {
	e := abi.Errorf(abi.CodePermissionDenied, "%s", message).WithHint("ask the operator for the grant %q", grant)
	e.Grant = grant
	return e
}
