package fetch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sallyport-dev/sallyport/abi"
)

// MinSecretBytes is the length of the shortest value of a secret: a shorter one
// would be found by chance where it is masked.
const MinSecretBytes = 8

// addSecrets writes the secrets of the hop into its headers. Of two for one
// header the first in the scope counts.
func (x *exchange) addSecrets(h http.Header) error {
	if x.at.Scheme != "https" {
		return nil
	}
	var written []string
	for _, s := range x.client.config.Scope.Secrets {
		name := http.CanonicalHeaderKey(s.Header)
		if slices.Contains(written, name) || !slices.ContainsFunc(s.Hosts, func(p string) bool { return abi.MatchHost(p, x.at.Host) }) {
			continue
		}
		value, err := x.client.secret(s.Name)
		if err != nil {
			return err
		}
		h.Set(name, s.Prefix+value)
		written = append(written, name)
		if !slices.Contains(x.secrets, value) {
			x.secrets = append(x.secrets, value)
		}
	}
	if len(written) > 0 && (h.Get("Range") != "" || h.Get("If-Range") != "") {
		return abi.Errorf(abi.CodeInvalidArgument, "a part of a response can't be asked for where the host adds a secret: it could be a part of the secret").
			WithHint("leave the header Range out, and save the whole to a file if it is long")
	}
	// A value that holds another is found first.
	slices.SortStableFunc(x.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return nil
}

// secret reads a value. Its error is for the plugin, with what Config.Secret says.
func (c *Client) secret(name string) (string, error) {
	unreadable := func(why string) *abi.Error {
		return abi.Errorf(abi.CodeUnavailable, "the secret %s %s, so the request wasn't sent", name, why).
			WithHint("the operator has to set the secret %s", name)
	}
	if c.config.Secret == nil {
		return "", unreadable("isn't set")
	}
	value, err := c.config.Secret(name)
	e, ok := errors.AsType[*abi.Error](err)
	switch {
	case ok:
		told := *e
		told.Message += ", so the request wasn't sent"
		return "", told.WithCause(err)
	case err != nil:
		return "", unreadable("can't be read").WithCause(err)
	case value == "":
		return "", unreadable("is empty")
	case len(value) < MinSecretBytes:
		return "", unreadable(fmt.Sprintf("has %d bytes, and %d are the least", len(value), MinSecretBytes))
	case !httpguts.ValidHeaderFieldValue(value) || strings.TrimSpace(value) != value:
		return "", unreadable("has characters that no header can carry")
	}
	return value, nil
}

// mask returns s with stars for the secrets that were sent, written as they are
// or as in a URL.
func (x *exchange) mask(s string) string {
	for _, v := range x.secrets {
		for _, form := range []string{v, url.QueryEscape(v), url.PathEscape(v)} {
			s = strings.ReplaceAll(s, form, strings.Repeat("*", len(form)))
		}
	}
	return s
}

// shows says whether a URL holds a secret that was sent.
func (x *exchange) shows(where string) bool {
	forms := []string{where}
	if path, err := url.PathUnescape(where); err == nil {
		forms = append(forms, path)
	}
	if query, err := url.QueryUnescape(where); err == nil {
		forms = append(forms, query)
	}
	return slices.ContainsFunc(forms, func(s string) bool { return x.mask(s) != s })
}

// A masker puts stars in the place of values in what it reads, as they are, as
// in JSON, in HTML and in a URL; and, where that breaks off in one, in the place
// of what has come of it. Of less than leastPart bytes it can't be told.
type masker struct {
	src    io.Reader
	values [][]byte // the longest first
	part   []byte
	held   []byte // read and not passed on
	clean  int    // of held, what can be
	err    error  // of src
}

// masked returns src without the values.
func masked(src io.Reader, values []string) io.Reader {
	m := &masker{src: src, part: make([]byte, 32<<10)}
	for _, v := range values {
		for _, form := range []string{v, quoted(v), html.EscapeString(v), url.QueryEscape(v)} {
			if b := []byte(form); !slices.ContainsFunc(m.values, func(o []byte) bool { return bytes.Equal(o, b) }) {
				m.values = append(m.values, b)
			}
		}
	}
	if len(m.values) == 0 {
		return src
	}
	slices.SortStableFunc(m.values, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
	return m
}

// quoted returns a value as it stands in JSON.
func quoted(v string) string {
	b, err := json.Marshal(v)
	if err != nil { // a string always marshals
		panic(err)
	}
	return string(b[1 : len(b)-1])
}

func (m *masker) Read(p []byte) (int, error) {
	for m.clean == 0 && m.err == nil {
		m.more()
	}
	if m.clean == 0 {
		return 0, m.err
	}
	n := copy(p, m.held[:m.clean])
	m.held = m.held[n:]
	m.clean -= n
	return n, nil
}

// more reads on. What may be the beginning of a value stays held until more of
// it, or the end, has come.
func (m *masker) more() {
	n, err := m.src.Read(m.part)
	m.held, m.err = append(m.held, m.part[:n]...), err
	for _, v := range m.values {
		if bytes.Contains(m.held, v) {
			m.held = bytes.ReplaceAll(m.held, v, bytes.Repeat([]byte("*"), len(v)))
		}
	}
	m.clean = len(m.held)
	for start := max(0, len(m.held)-len(m.values[0])+1); start < len(m.held); start++ {
		if !slices.ContainsFunc(m.values, func(v []byte) bool { return bytes.HasPrefix(v, m.held[start:]) }) {
			continue
		}
		if err == nil {
			m.clean = start
		} else if part := m.held[start:]; len(part) >= leastPart {
			copy(part, bytes.Repeat([]byte("*"), len(part)))
		}
		return
	}
}

// leastPart is how much of a value at the end of a body is masked.
const leastPart = 4
