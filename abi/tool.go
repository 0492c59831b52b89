package abi

import "encoding/json"

// A ToolCallRequest runs a tool of another plugin, in the caller's session and
// within what is left of the caller's limits. The plugin has to be granted the
// tool by name. A plugin that is under way in the same chain of calls already
// isn't called again (failed_precondition), nor is a chain longer than
// MaxToolDepth.
type ToolCallRequest struct {
	Tool      string          `json:"tool"`                // the full name: files_read
	Arguments json.RawMessage `json:"arguments,omitempty"` // a JSON object; none is the empty one
	Async     bool            `json:"async,omitempty"`
	// Stream sends what the tool reports while it runs to the agent, with
	// StreamAgent; otherwise nobody gets it.
	Stream string `json:"stream,omitempty"`
}

// The response of tool.call is a CallResponse, as the called plugin answered
// it, bytes of its content in the body; an error of the tool's is the
// operation's.
