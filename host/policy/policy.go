package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// Version is the policy file's version.
const Version = 1

// A Policy is the whitelist. What isn't on it isn't loaded. Parse, Encode,
// Lookup and Admit may be used from several goroutines as long as nobody
// changes the value.
type Policy struct {
	Version int     `yaml:"version"`
	Plugins []Entry `yaml:"plugins"`
}

// An Entry allows one file, named by its digest, and says what it may do.
type Entry struct {
	Name   string           `yaml:"name"`
	Digest string           `yaml:"digest"` // sha256:<64 hex digits>
	Grant  abi.Capabilities `yaml:"grant,omitempty"`
	// Limits replace what the manifest asks for; zero leaves it.
	Limits abi.Limits `yaml:"limits,omitempty"`
	// Config are the settings that the plugin reads with call.config.
	Config map[string]string `yaml:"config,omitempty"`
}

const comment = `Which plugins may run, and what each of them may do. A plugin that isn't here
isn't loaded; a changed file has another digest and isn't either.
"sallyport plugin allow FILE" adds and renews entries: it keeps the limits,
settings and secrets you write here, grants a renewed plugin no more than its entry
does unless you say --widen, and rewrites the comments.`

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Parse reads a policy file. It accepts what Encode writes and what a person
// writes, and nothing that it would have to guess about. Errors are *abi.Error
// of code invalid_argument whose message starts with line:column.
func Parse(data []byte) (*Policy, error) {
	var p Policy
	src, err := strictyaml.Decode(data, &p)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Version == 0:
		return nil, src.Errorf("version", "version is missing").WithHint("write version: %d", Version)
	case p.Version != Version:
		return nil, src.Errorf("version", "version is %d: this host reads version %d", p.Version, Version).
			WithHint("write version: %d, or update the host", Version)
	}
	for i, e := range p.Plugins {
		if err := p.check(src, i, e); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

// check says what is wrong with the i-th entry, by itself or beside those
// before it.
func (p *Policy) check(src *strictyaml.Source, i int, e Entry) error {
	at := fmt.Sprintf("plugins[%d]", i)
	switch {
	case e.Name == "":
		return src.Errorf(at+".name", "%s has no name", at).WithHint("write name: and the plugin's name")
	case !abi.ValidPluginName(e.Name):
		return src.Errorf(at+".name", "plugin name %q isn't one", e.Name).
			WithHint("use a lower-case letter and then up to 31 letters and digits")
	case e.Digest == "":
		return src.Errorf(at+".digest", "plugin %s has no digest", e.Name).WithHint("%s", digestHint)
	case !digestForm.MatchString(e.Digest):
		return src.Errorf(at+".digest", "plugin %s: %q is not a digest", e.Name, e.Digest).WithHint("%s", digestHint)
	}
	for _, other := range p.Plugins[:i] {
		if other.Name == e.Name {
			return src.Errorf(at+".name", "plugin %s is there twice", e.Name).WithHint("keep one entry a plugin")
		}
		if other.Digest == e.Digest {
			return src.Errorf(at+".digest", "plugins %s and %s have the same digest", other.Name, e.Name).
				WithHint("a file is one plugin: keep the entry with the name that sallyport plugin inspect shows")
		}
	}
	if err := cmp.Or(e.Grant.Validate(), checkSecrets(e.Grant.HTTP)); err != nil {
		return misplaced(src, at+".grant", e.Name, err)
	}
	if err := e.Limits.Validate(); err != nil {
		return misplaced(src, at, e.Name, err)
	}
	return nil
}

// checkSecrets refuses what a manifest leaves to its operator.
func checkSecrets(h *abi.HTTPScope) error {
	if h == nil {
		return nil
	}
	for i, s := range h.Secrets {
		for _, field := range []struct{ name, value string }{{"name", s.Name}, {"header", s.Header}} {
			if field.value == abi.AnySecret {
				return abi.Errorf(abi.CodeInvalidArgument, "http.secrets[%d].%s is %q, which a grant can't have", i, field.name, field.value).
					WithHint("write which secret goes into which header")
			}
		}
	}
	return nil
}

const digestHint = "write sha256: and 64 lower-case hex digits, as sallyport plugin inspect FILE shows them"

// misplaced gives an error of abi's validation the place of the field that its
// message starts with.
func misplaced(src *strictyaml.Source, under, name string, err error) error {
	e := abi.AsError(err)
	field, _, _ := strings.Cut(e.Message, " ")
	return src.Errorf(under+"."+field, "plugin %s: %s", name, e.Message).WithHint("%s", e.Hint)
}

// Encode writes the file, the plugins in the order of their names. The same
// policy gives the same bytes, and Parse reads them back.
func (p *Policy) Encode() ([]byte, error) {
	out := Policy{Version: p.Version, Plugins: slices.Clone(p.Plugins)}
	slices.SortFunc(out.Plugins, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	b, err := strictyaml.Encode(comment, out)
	if err != nil {
		return nil, err
	}
	// A policy that was put together in code may hold what a file may not.
	if _, err := Parse(b); err != nil {
		e := *abi.AsError(err)
		_, e.Message, _ = strings.Cut(e.Message, " ") // where it would stand in the file
		return nil, &e
	}
	return b, nil
}

// Allow puts e on the list, in the place of an entry of the same name.
func (p *Policy) Allow(e Entry) {
	if i := p.index(e.Name); i >= 0 {
		p.Plugins[i] = e
		return
	}
	p.Plugins = append(p.Plugins, e)
}

// Lookup returns the entry of a plugin.
func (p *Policy) Lookup(name string) (Entry, bool) {
	if i := p.index(name); i >= 0 {
		return p.Plugins[i], true
	}
	return Entry{}, false
}

func (p *Policy) index(name string) int {
	return slices.IndexFunc(p.Plugins, func(e Entry) bool { return e.Name == name })
}

// Admit is the first gate. It returns the entry of the plugin whose file has
// this digest. Otherwise it fails with permission_denied and the command that
// would allow the file.
func (p *Policy) Admit(name, digest, file string) (Entry, error) {
	e, ok := p.Lookup(name)
	if !ok {
		for _, other := range p.Plugins {
			if other.Digest == digest {
				return Entry{}, abi.Errorf(abi.CodePermissionDenied, "the policy lists %s under the name %s, and the plugin's name is %s", digest, other.Name, name).
					WithHint("correct the name in the policy")
			}
		}
		return Entry{}, abi.Errorf(abi.CodePermissionDenied, "plugin %s is not on the whitelist: %s", name, digest).
			WithHint("see what it asks for with: sallyport plugin inspect %s; allow it with: sallyport plugin allow %[1]s", file)
	}
	if e.Digest != digest {
		return Entry{}, abi.Errorf(abi.CodePermissionDenied, "plugin %s was changed after it was approved: its file is %s, approved is %s", name, digest, e.Digest).
			WithHint("put the approved file back; or, if the change is wanted: sallyport plugin allow %s", file)
	}
	return e, nil
}
