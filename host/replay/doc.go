// Package replay holds calls of a plugin's tools that were recorded, so that
// they can be made again without what the plugin asked the host for: no
// kernel, no network, no other plugin.
//
// It owns the file format, the Recorder that stands before a host's operations
// and the Player that stands in their place. Both are functions of the shape
// (ctx, op, frame) → (frame, error). It doesn't run plugins, and knows no host:
// package host joins it with both.
//
// # The format
//
// A file holds one case, in the manner of txtar: a comment, and then sections
// that each start with a line "-- name --". What stands above the section
// "recorded" is an author's, and is kept byte for byte; what stands below is
// what a host and the plugin said, and is replaced when the case is recorded.
//
//	Numbers are added up, and the sum is shown.
//
//	-- case --
//	tool: run
//	fix: kernel.execute /duration_ms 0
//	-- arguments --
//	{"code": "1+1"}
//	-- upload/data.csv --
//	a,b
//	-- recorded --
//	case: sha256:…
//	-- calls --
//	==> kernel.execute {"code":"1+1","language":"python","stream":"agent"}
//	<== {"status":"ok","execution_count":1,"outputs":[…],"duration_ms":0}
//	-- result --
//	{
//	  "content": […]
//	}
//	-- output/report.md --
//	What the file held in the end.
//
// The section "case" has a line for each setting:
//
//	tool   the tool's name, without the plugin's
//	seed   a number that random bytes are drawn from; 0 where it is left out
//	time   what the plugin's clock says at first (RFC 3339); 2026-01-01T00:00:00Z
//	fix    an operation, a JSON pointer into its response's header, and the value
//	       that the recorder puts there before the plugin sees it: for what
//	       differs each time and doesn't matter. It may come several times
//
// "arguments" and "config" (the operator's settings for the plugin, texts by
// name) are JSON objects, {} where they are left out. Every other section above
// "recorded" is a file that is in the workspace before the call, named by its
// zone; below, one that the call made or changed.
//
// "recorded" has the digest of the case that was recorded: tool, seed, time,
// fixes, arguments, settings and files. One that was changed since is stale.
// "calls" has the host's operations in their order. A line "==> op" and the
// request's header come first, then "~~>" and what the agent was sent
// meanwhile, then "<==" and the response's header, or "<== error" and an
// abi.Error. A frame's body follows its header on lines of its own, indented
// by two spaces: "| " before a line of text, "\ " before one that has no line
// feed, "= " before base64, "# " before the digest and the length of what is
// too long to be kept, which only a request's body may be. After the response
// come the files of the workspace that the operation, rather than the plugin,
// wrote ("+++ path", and the content as a body is written) or removed
// ("--- path"); a folder's path ends in a slash. JSON that is long stands on
// several lines.
//
// An async operation is answered with its task, as the host does, and
// call.wait with the one that ended: so the order in which tasks ended is that
// of the recording.
//
// "printed" is what the plugin printed, and "result" or "error" is what it
// answered with; the bytes of images are told by digest and length. A section's
// name may be followed by a word in brackets: (no newline) for a file that
// doesn't end with one, (base64) for one that isn't text, and, below
// "recorded", (removed) and (folder).
//
// # Secrets
//
// A recording holds what the plugin sent and what it got. The host adds secrets
// to requests after that point, and masks them in answers before it: no secret
// is in a recording unless a plugin wrote it itself.
package replay
