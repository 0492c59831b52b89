package fetch

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// A body is the response's as a plugin gets it: decompressed, bounded and
// without secrets.
type body struct {
	x       *exchange
	src     io.Closer
	read    io.Reader
	decoded bool // it came compressed
	err     error
}

func (x *exchange) body(resp *http.Response) *body {
	b := &body{x: x, src: resp.Body, read: resp.Body}
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") &&
		x.method != http.MethodHead && resp.StatusCode != http.StatusPartialContent {
		b.read, b.decoded = &gunzip{src: resp.Body}, true
	}
	b.read = masked(&egress.Bounded{From: b.read, Left: x.maxBytes, Over: errTooMuch}, x.secrets)
	return b
}

// Read is one goroutine's at a time. After an error, the end included, nothing
// of the exchange is left.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read.Read(p)
	if err == nil {
		return n, nil
	}
	switch over := b.x.ctx.Err(); {
	case err == io.EOF && over == nil:
	case over != nil:
		// A server that sees its client leave may end the body in good order.
		err = b.x.failure(over)
	case err == errTooMuch:
		err = b.x.failure(b.x.tooMuch(-1))
	case broken(err):
		err = b.x.failure(abi.Errorf(abi.CodeUnavailable, "the response of %s is compressed in a way that can't be read", b.x.at.Host))
	default:
		err = b.x.failure(err)
	}
	b.err = err
	_ = b.Close()
	return n, err
}

// Close ends the exchange.
func (b *body) Close() error {
	err := b.src.Close()
	b.x.cancel()
	return err
}

var errTooMuch = errors.New("the body is over its bound")

// gunzip decompresses. It reads nothing before it is read: the first bytes may
// be long in coming.
type gunzip struct {
	src io.Reader
	zip *gzip.Reader
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.zip == nil {
		zip, err := gzip.NewReader(g.src)
		if err != nil {
			return 0, err // io.EOF: nothing, and nothing compressed
		}
		g.zip = zip
	}
	return g.zip.Read(p)
}

// broken says whether it is the compression that an error is about.
func broken(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)
}
