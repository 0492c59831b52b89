package main

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// A name is the place of a file: a zone, and the rest of the path in it, "" for
// the zone itself.
type name struct {
	zone, rest string
}

// parse reads what an agent gives: "output/a.md", "/output/a.md", "./output/".
// A path is never cleaned into another place: one with ".." is refused.
func parse(given string) (name, error) {
	bad := func(format string, args ...any) (name, error) {
		return name{}, sdk.BadArgument("/path", format, args...).WithHint("give a path such as output/report.md; files_list shows what there is")
	}
	switch {
	case !utf8.ValidString(given):
		return bad("the path is not UTF-8")
	case strings.ContainsRune(given, 0):
		return bad("the path has a NUL character")
	case slices.Contains(strings.Split(given, "/"), ".."):
		return bad("the path %q has \"..\"", given)
	}
	zone, rest, _ := strings.Cut(path.Clean("/" + given)[1:], "/")
	if zone == "" {
		return bad("the path %q names no file", given)
	}
	if !slices.Contains(abi.Zones(), zone) {
		e := sdk.Errorf(abi.CodeNotFound, "there is no zone %q in the workspace", zone).
			WithHint("paths start with %s", strings.Join(abi.Zones(), "/, ")+"/")
		e.Field = "/path"
		return name{}, e
	}
	return name{zone, rest}, nil
}

// parseFile is parse for what can't be a zone itself.
func parseFile(given string) (name, error) {
	n, err := parse(given)
	if err == nil && n.rest == "" {
		return name{}, sdk.BadArgument("/path", "the path %q names a zone, not a file", given)
	}
	return n, err
}

// String is how agents are told the name: "output/a.md".
func (n name) String() string { return path.Join(n.zone, n.rest) }

// guest is the path in the guest: "/output/a.md".
func (n name) guest() string { return "/" + n.String() }

// join returns the name of an entry of the folder n.
func (n name) join(entry string) name { return name{n.zone, path.Join(n.rest, entry)} }
