// Package tool calls tools of other plugins, which the host runs in the session
// of the call, with those plugins' own grants. It needs the capability tool in
// plugin.yaml, with the full names of the tools.
//
//	text, err := tool.Text(tool.Call(ctx, "files_read", map[string]any{"path": "upload/notes.md"}))
//
// Every function takes a context of the tool's call, and fails with an
// *abi.Error: permission_denied with the grant tool.names where the tool wasn't
// granted, not_found where there is none of that name, failed_precondition where
// its plugin is under way in the same chain of calls already, and whatever the
// tool itself failed with, its name before the message. A result with IsError is
// no error of Call: the tool did its work and tells what went wrong.
package tool
