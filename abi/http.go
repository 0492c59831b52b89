package abi

// An HTTPHeader is one header line.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values of HTTPFetchRequest.Redirect.
const (
	RedirectFollow = "follow" // up to MaxRedirects, each decided like a request
	RedirectManual = "manual" // the redirect is the response
)

// Bounds of http.fetch.
const (
	MaxRedirects       = 10
	MaxURLBytes        = 8 << 10
	MaxHTTPHeaderBytes = 64 << 10 // names and values of all headers, each way
	MaxHTTPHeaders     = 128
	MaxHTTPFirst       = 1 << 20 // of a body that comes with the response of fetch
	MaxHTTPRead        = 4 << 20 // of a body that one read returns
	MaxHTTPBodies      = 16      // open at a time, of one call
)

// An HTTPFetchRequest sends a request. The frame's body is the request's.
type HTTPFetchRequest struct {
	Method string       `json:"method,omitempty"` // "" is GET
	URL    string       `json:"url"`
	Header []HTTPHeader `json:"header,omitempty"`
	// Redirect is RedirectFollow or RedirectManual; "" is follow.
	Redirect string `json:"redirect,omitempty"`
	// TimeoutMS bounds the whole exchange, the body included. Zero is the
	// longest that the grant allows, and more than that is permission_denied.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
	// MaxBytes bounds the response's body: more is resource_exhausted. Zero is
	// the most that the grant allows, and more than that is permission_denied.
	MaxBytes int64 `json:"max_bytes,omitempty"`
	Async
}

// An HTTPFetchResponse is a response's head. The frame's body is the first part
// of the response's, MaxHTTPFirst at most, decoded if it came compressed.
type HTTPFetchResponse struct {
	Status int          `json:"status"`
	Header []HTTPHeader `json:"header"`
	URL    string       `json:"url"` // of the response, after redirects
	// Redirects are the URLs that were followed to get there.
	Redirects []string `json:"redirects,omitempty"`
	// Length is what the server announced of the body, -1 where it didn't.
	Length int64 `json:"length"`
	// Body is the number of the rest for http.read; zero when this is all.
	Body uint32 `json:"body,omitempty"`
}

// An HTTPReadRequest asks for more of a body. It waits for the next bytes, and
// its frame's body has some, or Ended is set.
type HTTPReadRequest struct {
	Body     uint32 `json:"body"`
	MaxBytes int    `json:"max_bytes,omitempty"` // zero is MaxHTTPRead
	Async
}

// An HTTPReadResponse comes with bytes in its frame's body. An ended body is
// closed.
type HTTPReadResponse struct {
	Ended bool `json:"ended,omitempty"`
}

// An HTTPCloseRequest drops the rest of a body. It answers with the empty
// object. What is open when a call ends is closed by the host.
type HTTPCloseRequest struct {
	Body uint32 `json:"body"`
}
