package workspace

import (
	"path"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

// Bounds of a name.
const (
	MaxName      = 4096 // bytes
	MaxComponent = 255  // bytes between two slashes
	MaxDepth     = 64   // components
)

// tempPrefix starts the names under which Put collects a file. They are hidden,
// and nobody else may use them.
const tempPrefix = ".sallyport-put-"

// Clean returns the canonical form of a name that views accept: relative,
// slash-separated, "." for the zone itself. Steps up are worked out by their
// text, and one that leaves the zone is refused. A slash at the end stays: the
// name is then good for a folder only. It fails with invalid_argument and says
// which rule a name breaks.
func Clean(name string) (string, error) {
	switch {
	case name == "":
		return "", badName(name, "is empty: the zone itself is \".\"")
	case len(name) > MaxName:
		return "", badName(name, "has %d bytes, at most %d are allowed", len(name), MaxName)
	case !utf8.ValidString(name):
		return "", badName(name, "is not UTF-8")
	case strings.ContainsRune(name, 0):
		return "", badName(name, "has a NUL byte")
	case name[0] == '/':
		return "", badName(name, "is absolute: names are relative to their zone")
	}
	clean := path.Clean(name)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", badName(name, "leaves its zone")
	}
	depth := 0
	for part := range strings.SplitSeq(clean, "/") {
		depth++
		if len(part) > MaxComponent {
			return "", badName(name, "has a part of %d bytes, at most %d are allowed", len(part), MaxComponent)
		}
		if hidden(part) {
			return "", badName(name, "has a part that starts with %s: such names are the host's", tempPrefix)
		}
	}
	if depth > MaxDepth {
		return "", badName(name, "is %d folders deep, at most %d are allowed", depth, MaxDepth)
	}
	switch name[strings.LastIndexByte(name, '/')+1:] {
	case "", ".", "..":
		if clean != "." {
			clean += "/"
		}
	}
	return clean, nil
}

func badName(name, format string, args ...any) *abi.Error {
	args = append([]any{brief(name)}, args...)
	return abi.Errorf(abi.CodeInvalidArgument, "the name %q "+format, args...)
}

// brief bounds what a message repeats of its caller's text.
func brief(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func hidden(component string) bool { return strings.HasPrefix(component, tempPrefix) }

// listed says whether a name found in a folder is shown: the host's own and
// those that no caller could spell aren't.
func listed(name string) bool { return !hidden(name) && utf8.ValidString(name) }

// depth counts the components of a clean name.
func depth(clean string) int {
	if clean == "." {
		return 0
	}
	return 1 + strings.Count(strings.TrimSuffix(clean, "/"), "/")
}
