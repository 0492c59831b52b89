// Package bridge carries what a plugin asks of the host to the capability that
// does it: it decodes the frame, asks the policy, audits the intent, calls the
// capability, audits the outcome and encodes the answer. One Call value serves
// one call of a tool, and the call's async tasks live in it.
//
// It owns the operations' bounds and their order. It does not own guest memory,
// the pending response and the result's codes, which are the engine's, nor what
// a capability does, nor the decision, which is the policy's. It has never
// heard of WebAssembly: a frame comes in, a frame goes out.
package bridge
