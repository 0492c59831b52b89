package fetch

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// hostsOwn are the headers that say how a message is read and passed on. So are
// those of Proxy-*.
var hostsOwn = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Http2-Settings", "Keep-Alive",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// exchange returns what a request asks for, and checks what the bridge leaves to
// it: the URL, the headers, and the bounds of the scope.
func (c *Client) exchange(req abi.HTTPFetchRequest, payload []byte) (*exchange, error) {
	x := &exchange{
		client:   c,
		method:   cmp.Or(req.Method, http.MethodGet),
		payload:  payload,
		manual:   req.Redirect == abi.RedirectManual,
		asked:    req,
		maxTime:  time.Duration(c.config.Scope.MaxTime),
		maxBytes: c.config.Scope.MaxBytes,
	}
	var err error
	if x.url, x.at, err = readURL(req.URL); err != nil {
		e := *abi.AsError(err)
		e.Field = "/url"
		return nil, &e
	}
	if x.header, err = readHeader(req.Header); err != nil {
		return nil, err
	}
	if asked := time.Duration(req.TimeoutMS) * time.Millisecond; asked > x.maxTime {
		return nil, denied("http.max_time: "+asked.String(), "a request may take %v at most, and was to take up to %v", x.maxTime, asked)
	} else if asked > 0 {
		x.maxTime = asked
	}
	if req.MaxBytes > x.maxBytes {
		return nil, denied("http.max_bytes: "+strconv.FormatInt(req.MaxBytes, 10), "a response may have %d bytes at most, and was to have up to %d", x.maxBytes, req.MaxBytes)
	} else if req.MaxBytes > 0 {
		x.maxBytes = req.MaxBytes
	}
	return x, nil
}

// readURL reads an absolute URL, without its fragment, which is never sent.
func readURL(raw string) (*url.URL, egress.Target, error) {
	at, err := egress.ParseTarget(raw)
	if err != nil {
		return nil, at, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, at, abi.Errorf(abi.CodeInvalidArgument, "the url can't be read")
	}
	if abi.SchemePort(u.Scheme) == 0 {
		return nil, at, abi.Errorf(abi.CodeInvalidArgument, "the scheme %q is neither http nor https", u.Scheme).WithHint("use http or https")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, at, nil
}

// readHeader returns a plugin's headers. What would be read as another line, or
// change how the message is read, is refused.
func readHeader(lines []abi.HTTPHeader) (http.Header, error) {
	h := http.Header{}
	for i, line := range lines {
		at := "/header/" + strconv.Itoa(i)
		if !httpguts.ValidHeaderFieldName(line.Name) {
			return nil, invalid(at+"/name", "%.40q is no header's name", line.Name)
		}
		name := http.CanonicalHeaderKey(line.Name)
		if slices.Contains(hostsOwn, name) || strings.HasPrefix(name, "Proxy-") {
			return nil, invalid(at+"/name", "the header %.40s is the host's to write: leave it out", name)
		}
		if !httpguts.ValidHeaderFieldValue(line.Value) {
			return nil, invalid(at+"/value", "the value of the header %.40s has a line break or another control character", name)
		}
		h.Add(name, line.Value)
	}
	return h, nil
}

func invalid(field, format string, args ...any) *abi.Error {
	e := abi.Errorf(abi.CodeInvalidArgument, format, args...)
	e.Field = field
	return e
}

func denied(grant, format string, args ...any) *abi.Error {
	e := abi.Errorf(abi.CodePermissionDenied, format, args...).WithHint("ask for less, or the operator for the grant %q", grant)
	e.Grant = grant
	return e
}
