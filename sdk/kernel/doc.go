// Package kernel runs code in a Jupyter kernel of the session, which belongs to
// the calling plugin: variables stay from one call to the next. It needs the
// capability kernel in plugin.yaml, with the languages it uses.
//
// Every function takes a context of the tool's call, and fails with an
// *abi.Error: permission_denied without the grant for the language or the
// time, unavailable when a kernel can't be started, state_lost when it ended
// in the middle, canceled and deadline_exceeded when the call is over.
package kernel
