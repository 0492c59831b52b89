// Package http sends requests over HTTP by way of the host, which decides where
// they may go, resolves names, checks certificates and adds the secrets that
// its operator keeps. It needs the capability http in plugin.yaml, with rules
// for the hosts it talks to.
//
// Every function takes a context of the tool's call, and fails with an
// *abi.Error: permission_denied with the grant that is lacking, for a redirect
// as well; unavailable, often retryable, when a host can't be reached or broke
// off; deadline_exceeded, canceled; resource_exhausted for a body over its
// bound; invalid_argument. A status such as 404 is a Response, not an error.
//
// There is no cookie jar, and the host writes Host, Content-Length,
// Accept-Encoding and what else belongs to a connection. Bodies that come
// compressed with gzip are decompressed.
package http
