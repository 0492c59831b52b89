package host

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
	"github.com/sallyport-dev/sallyport/host/replay"
)

// A RecordConfig says what a Recorder records.
type RecordConfig struct {
	// Plugin is what is called. Required.
	Plugin *plugin.Artifact
	// Others are plugins whose tools it may call.
	Others []*plugin.Artifact
	// Hosts are patterns as in abi.HTTPRule that the plugins may reach, as far as
	// they ask for it: an address among them may be one that isn't public. None
	// is none where a plugin asks for any host.
	Hosts []string
	// Host is the configuration of the host. Its data directory, its plugins and
	// its policy are the recorder's own.
	Host Config
}

// A Recorder calls tools of a plugin in a host of its own, in a temporary
// folder, and records the calls. The plugin is granted all that it asks for,
// save hosts that weren't named, and secrets. Its methods are for one
// goroutine.
type Recorder struct {
	artifact *plugin.Artifact
	host     *Host
	limits   abi.Limits
	code     *engine.Plugin
	dir      string
}

// NewRecorder starts the host. Close must be called.
func NewRecorder(ctx context.Context, cfg RecordConfig) (r *Recorder, err error) {
	r = &Recorder{artifact: cfg.Plugin}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close(ctx))
		}
	}()
	if r.dir, err = os.MkdirTemp("", "sallyport-record-"); err != nil {
		return r, abi.Errorf(abi.CodeUnavailable, "no temporary folder for a host: %w", err)
	}
	hc := cfg.Host
	hc.DataDir, hc.PluginDir, hc.PolicyFile = filepath.Join(r.dir, "data"), filepath.Join(r.dir, "plugins"), filepath.Join(r.dir, "policy.yaml")
	if err := os.Mkdir(hc.PluginDir, 0o700); err != nil {
		return r, err
	}
	pol := &policy.Policy{Version: policy.Version}
	for _, a := range append([]*plugin.Artifact{cfg.Plugin}, cfg.Others...) {
		grant, err := recordGrant(a.Manifest.Capabilities, cfg.Hosts)
		if err != nil {
			return r, err
		}
		pol.Allow(policy.Entry{Name: a.Manifest.Name, Digest: a.Digest, Grant: grant})
		if err := os.WriteFile(filepath.Join(hc.PluginDir, a.Manifest.Name+".wasm"), a.Wasm, 0o600); err != nil {
			return r, err
		}
	}
	file, err := pol.Encode()
	if err != nil {
		return r, err
	}
	if err := os.WriteFile(hc.PolicyFile, file, 0o600); err != nil {
		return r, err
	}
	if r.host, err = New(ctx, hc); err != nil {
		return r, err
	}
	r.limits = mergeLimits(r.artifact.Manifest.Limits, abi.Limits{}, r.host.cfg.Limits)
	r.code, err = repeatable(ctx, r.host.engine, r.artifact, r.limits)
	return r, err
}

// recordGrant is what a plugin is granted while its calls are recorded. Whoever
// names a host means it, on whatever port the plugin asks for.
func recordGrant(asked abi.Capabilities, hosts []string) (abi.Capabilities, error) {
	grant := clone(asked)
	if grant.HTTP != nil {
		grant.HTTP.Secrets = nil
		if len(hosts) > 0 {
			if err := narrow(grant.HTTP, hosts); err != nil {
				return grant, err
			}
		} else if anyHost(grant.HTTP) {
			grant.HTTP = nil
		}
	}
	if grant.HTTP != nil {
		allow := slices.Clone(grant.HTTP.Allow)
		for i, r := range allow {
			allow[i].Addresses = nil
			for _, host := range r.Hosts {
				if addr, err := netip.ParseAddr(host); err == nil && slices.ContainsFunc(r.Addresses, func(p netip.Prefix) bool { return p.Contains(addr) }) {
					allow[i].Addresses = append(allow[i].Addresses, netip.PrefixFrom(addr, addr.BitLen()))
				}
			}
		}
		grant.HTTP.Allow = allow
	}
	if grant.Kernel != nil && grant.HTTP == nil {
		grant.Kernel.Network = false
	}
	return grant, nil
}

// Close ends the host and removes its folder, until ctx ends.
func (r *Recorder) Close(ctx context.Context) error {
	var errs []error
	if r.code != nil {
		errs = append(errs, r.code.Close(ctx))
	}
	if r.host != nil {
		errs = append(errs, r.host.Close(ctx))
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// Record makes the call of a case in a session of its own, and returns what came
// of it. It fails with *abi.Error, where the call could not be carried out too:
// what a plugin answers with can be recorded, a trap can't.
func (r *Recorder) Record(ctx context.Context, c *replay.Case) (rec *replay.Recording, err error) {
	tool, err := callable(r.artifact, c)
	if err != nil {
		return nil, err
	}
	session, err := r.host.Sessions().Create("recorder")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.host.Sessions().End(context.WithoutCancel(ctx), session.ID)) }()
	ws := session.Workspace()
	if _, err := furnish(ws, c.Files); err != nil {
		return nil, err
	}
	var dispatch engine.Dispatch
	recorder, err := replay.NewRecorder(replay.RecorderConfig{
		Case:  c,
		Next:  func(ctx context.Context, op string, frame []byte) ([]byte, error) { return dispatch(ctx, op, frame) },
		Files: func() (replay.Tree, error) { return tree(ws) },
	})
	if err != nil {
		return nil, err
	}
	var answer engine.Answer
	answered := false
	_, err = r.host.Call(ctx, ToolCall{
		Session: session, Tool: abi.FullName(r.artifact.Manifest.Name, c.Tool), Arguments: orNone(c.Arguments),
		Principal: "recorder", Emit: recorder.Emit,
		enter: func(ctx context.Context, call engine.Call) (engine.Answer, error) {
			dispatch = call.Dispatch
			call, err := repeated(c, call, r.limits, recorder.Touch)
			if err != nil {
				return engine.Answer{}, err
			}
			call.Tool, call.Dispatch = uint32(tool), recorder.Dispatch
			answer, err = r.code.Call(ctx, call)
			answered = err == nil
			return answer, err
		},
	})
	if !answered {
		return nil, err
	}
	response, err := abi.DecodeCallResponse(answer.Response)
	if err != nil {
		return nil, err
	}
	return recorder.Recording(response, answer.Stderr)
}
