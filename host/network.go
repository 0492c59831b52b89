package host

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/fetch"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// network is what the bridge calls the http capability: the way out of one
// call. Most calls never go out, so the gate is made at the first fetch.
type network struct {
	*run

	mu     sync.Mutex
	client *fetch.Client
	gate   *egress.Gate
	gone   bool
}

func (n *network) Fetch(ctx context.Context, req abi.HTTPFetchRequest, body []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
	f, err := n.open()
	if err != nil {
		return abi.HTTPFetchResponse{}, nil, err
	}
	return f.Fetch(ctx, req, body)
}

func (n *network) open() (*fetch.Client, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		return nil, abi.Errorf(abi.CodeCanceled, "the call has ended")
	}
	if n.client != nil {
		return n.client, nil
	}
	scope := *n.plugin.effective.HTTP // the policy asked for it before
	gate, err := egress.New(egress.Config{
		Rules: scope.Allow, RootCAs: n.host.roots, Record: n.record, Logger: n.host.log.Named("egress"),
		// The client keeps the scope's bounds, and says so in their words.
		MaxTime: max(egress.DefaultMaxTime, 2*time.Duration(scope.MaxTime)), MaxBytes: max(egress.DefaultMaxBytes, 2*scope.MaxBytes),
	})
	if err != nil {
		return nil, err
	}
	f, err := fetch.New(fetch.Config{
		Gate: gate, Scope: scope, Secret: n.host.secret, UserAgent: "sallyport/" + Version,
	})
	if err != nil {
		gate.Close()
		return nil, err
	}
	n.gate, n.client = gate, f
	return f, nil
}

// close ends what still goes out for the call.
func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone = true
	if n.gate != nil {
		n.gate.Close()
	}
}

// record audits a decision. Each belongs to an operation of the call, and those
// are bounded.
func (n *network) record(d egress.Decision) error {
	e := n.entry(audit.KindEgress, refusal(d))
	e.Detail = decisionDetail(d)
	return n.append(e)
}

func refusal(d egress.Decision) error {
	if d.Allowed {
		return nil
	}
	return d.Err
}

func decisionDetail(d egress.Decision) map[string]string {
	detail := map[string]string{"scheme": d.Scheme, "host": d.Host, "port": strconv.Itoa(int(d.Port))}
	if d.Method != "" {
		detail["method"] = d.Method
	}
	var addresses []string
	for _, a := range d.Addresses {
		addresses = append(addresses, a.String())
	}
	if len(addresses) > 0 {
		detail["addresses"] = strings.Join(addresses, " ")
	}
	return detail
}

// kernelDecisions bounds what the code in the kernels of one principal makes the
// audit log grow by, in an hour.
const kernelDecisions = abi.MaxOperations

// kernelGate returns what serves a kernel's network: the proxy through which its
// code reaches what its plugin may. It is nil where the kernels of the plugin
// may reach nothing.
func (h *Host) kernelGate(effective abi.Capabilities, entry audit.Entry) func(net.Listener) {
	if k := effective.Kernel; k == nil || !k.Network || effective.HTTP == nil {
		return nil
	}
	log := h.log.Named("egress").With("session", entry.Session, "plugin", entry.Plugin)
	quota := h.decisions.of(entry.Principal)
	return func(l net.Listener) {
		gate, err := egress.New(egress.Config{
			Rules: effective.HTTP.Allow, MaxTime: time.Duration(effective.HTTP.MaxTime), MaxBytes: effective.HTTP.MaxBytes,
			RootCAs: h.roots, Logger: log,
			Record: func(d egress.Decision) error {
				if !quota.take(time.Now()) {
					return abi.Errorf(abi.CodeResourceExhausted, "your kernels have asked for the network %d times within an hour", kernelDecisions).
						WithHint("go on later, or send fewer requests")
				}
				e := entry
				e.Kind, e.Detail = audit.KindEgress, decisionDetail(d)
				if err := refusal(d); err != nil {
					e.Code, e.Message = abi.CodeOf(err).String(), abi.AsError(err).Message
				}
				return h.audit.Append(e)
			},
		})
		if err != nil {
			log.Error("a kernel's gate could not be opened", "error", err)
			_ = l.Close()
			return
		}
		defer gate.Close()
		gate.Serve(l)
	}
}

// quotas are the kernels' decisions of an hour, by principal: a session more
// doesn't make more of them.
type quotas struct {
	mu sync.Mutex
	by map[string]*quota
}

func (q *quotas) of(principal string) *quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.by[principal] == nil {
		if q.by == nil {
			q.by = map[string]*quota{}
		}
		q.by[principal] = &quota{most: kernelDecisions, each: time.Hour}
	}
	return q.by[principal]
}

// A quota counts what happens in a span of time.
type quota struct {
	most int
	each time.Duration

	mu    sync.Mutex
	since time.Time
	taken int
}

// take says whether one more may happen.
func (q *quota) take(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= q.each {
		q.since, q.taken = now, 0
	}
	q.taken++
	return q.taken <= q.most
}

// authorities returns the certificate authorities that are trusted: the
// system's and those of a PEM file. Without a file it is nil, which is the
// system's alone.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	const hint = "name a file with PEM certificates with --ca-file"
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "the certificate authorities can't be read: %w", err).WithHint(hint)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "the system's certificate authorities can't be read: %w", err).
			WithHint("mend them: those of --ca-file are trusted besides them, not in their place")
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "%s holds no certificate", file).WithHint(hint)
	}
	return pool, nil
}
