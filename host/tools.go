package host

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// tools is what the bridge calls the tool capability: the tools of other
// plugins, called in the session of the call and on behalf of whoever made it.
type tools struct{ *run }

// Call makes a call of its own, which ends with ctx, and so with the call that
// asked for it, whose deadline it can't outlast.
func (t tools) Call(ctx context.Context, tool string, arguments json.RawMessage, sink func(abi.Event)) (result *abi.Result, call string, err error) {
	chain := t.chain()
	callee, _ := abi.SplitName(tool)
	if slices.Contains(chain, callee) {
		return nil, "", abi.Errorf(abi.CodeFailedPrecondition, "plugin %s is under way in this chain of calls already: %s", callee, arrows(append(chain, callee))).
			WithHint("have the plugin's own code do it, without a call")
	}
	if len(chain) > abi.MaxToolDepth {
		return nil, "", abi.Errorf(abi.CodeFailedPrecondition, "calls of tools within calls of tools go %d deep at most: %s", abi.MaxToolDepth, arrows(append(chain, callee))).
			WithHint("have a plugin nearer to the agent call it")
	}
	result, err = t.host.call(ctx, ToolCall{
		Session: t.Session, Tool: tool, Arguments: arguments, Principal: t.Principal, Request: t.Request,
		Emit: func(e abi.Event) {
			if e.Type == abi.EventStarted {
				call = e.Call
			}
			sink(e)
		},
	}, t.run)
	return result, call, err
}

// chain names the plugins of the calls under way that led to this one, the
// agent's first and this one's last.
func (r *run) chain() []string {
	var names []string
	for ; r != nil; r = r.caller {
		names = append(names, r.plugin.name())
	}
	slices.Reverse(names)
	return names
}

func arrows(chain []string) string { return strings.Join(chain, " → ") }
