// Package egress decides which addresses outside may be reached, and is the way
// there: a round tripper for the host's own requests and a forward proxy for
// the processes and browser contexts of one tenant.
//
// # The decision
//
// There is one, [Gate.Decide]. A rule has to cover the scheme, the host, the
// port and, where it can be seen, the method. The name is resolved once, and
// every address it has must be public or be granted by that rule; one that is
// neither refuses the name, so an answer that mixes good and bad addresses
// gains nothing. Only the addresses that were checked are dialled. Every
// request is decided, so each redirect is too. Each decision is handed to
// Config.Record before anything comes of it.
//
// A connection is kept for later requests only under the rule that it was
// dialled by.
//
// # The proxy
//
// [Gate.Serve] speaks HTTP/1.1 to its clients: requests in absolute form, and
// CONNECT. A tunnel carries TLS whose server name is the host it was opened
// for, or plain HTTP whose Host is; each plain request in it is decided like
// any other. WebSockets pass both ways, other upgrades don't. A listener has no
// credentials: who can reach it is the tenant, and the caller sees to that.
//
// # What it can't see
//
// Inside TLS there is no method, no path and no Host header: an origin that
// serves several names behind one certificate may be asked for another of them
// there, and a ClientHello may carry an encrypted one within. Rules for https
// should name hosts whose owners are trusted as a whole.
//
// Public addresses of the machine itself are public.
package egress
