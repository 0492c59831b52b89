// Package fetch is the http capability of one session and plugin: it sends
// requests through an egress gate, follows redirects, adds the secrets that
// were granted, and bounds what comes back.
//
// # What goes out
//
// Each request and each redirect is decided by the gate. The headers that
// belong to a connection are the host's, and a plugin that sets one is refused.
// When a redirect leads to another origin (scheme, host or port), credentials
// are left behind: Authorization, Cookie, and whatever header a secret goes
// into. There is no cookie jar, no Referer and nothing else that one request
// would tell another.
//
// # Secrets
//
// A secret is written into its header for each hop by itself: over https alone,
// to the hosts that its scope names. Its value isn't in errors, nor in the log.
// Where a server repeats it in a header or a body, stars of its length stand in
// its place, and a redirect to a URL that holds it isn't followed. That keeps
// it from being shown by mistake. A server that means to tell it can write it
// in another way, so the hosts of a secret are trusted with it. A value shorter
// than MinSecretBytes is refused: it would be found by chance.
//
// # What it leaves to others
//
// The bridge has read the request, and checked its method and its bounds. This
// package doesn't decide where requests may go, resolves nothing, dials nothing, and
// writes no audit: the gate does.
package fetch
