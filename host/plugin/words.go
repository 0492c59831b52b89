package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// A phrase says one thing that is asked for, under the scope it belongs to.
type phrase struct{ scope, words string }

// Words says what capabilities allow, for an operator: one line each, in a
// fixed order. Nothing asked for is no line.
func Words(c abi.Capabilities) []string {
	var out []string
	for _, p := range phrases(c) {
		out = append(out, p.words)
	}
	return out
}

func phrases(c abi.Capabilities) []phrase {
	var out []phrase
	if k := c.Kernel; k != nil {
		most := "as long an execution as the host allows"
		if k.MaxTime > 0 {
			most = "at most " + strictyaml.Brief(k.MaxTime) + " an execution"
		}
		for _, language := range k.Languages {
			out = append(out, phrase{"kernel." + language, fmt.Sprintf("runs %s code in a kernel of its own, %s", clip(language), most)})
		}
		if k.Network {
			out = append(out, phrase{"kernel network", "code in the kernel reaches the network through the host's proxy, as far as http is allowed; inside https with any method"})
		}
	}
	if c.HTTP != nil {
		out = append(out, httpPhrases(c.HTTP)...)
	}
	if f := c.Files; f != nil {
		for _, zone := range abi.Zones() {
			var words string
			switch *f.Zone(zone) {
			case abi.AccessRead:
				words = "reads " + zone
			case abi.AccessAppend:
				words = "reads and adds to " + zone
			case abi.AccessWrite:
				words = "reads, writes, changes and deletes in " + zone
			default:
				continue
			}
			out = append(out, phrase{"files." + zone, words})
		}
	}
	if c.Tool != nil {
		for _, name := range c.Tool.Names {
			lender, _ := abi.SplitName(name)
			out = append(out, phrase{"tool." + name, fmt.Sprintf("calls the tool %s, and by that borrows what plugin %s was granted", name, lender)})
		}
	}
	return out
}

// Diff says what changed from one version of a plugin to another, for the
// operator who approved the old one: what is newly asked for first, one line
// each. No line means that nothing an operator decides on changed.
func Diff(old, new abi.Manifest) []string {
	before, after := map[string]string{}, map[string]string{}
	for _, p := range phrases(old.Capabilities) {
		before[p.scope] = p.words
	}
	var asked, changed, dropped, rest []string
	for _, p := range phrases(new.Capabilities) {
		after[p.scope] = p.words
		switch was, ok := before[p.scope]; {
		case !ok:
			asked = append(asked, "newly asked: "+p.words)
		case was != p.words:
			changed = append(changed, fmt.Sprintf("now asked: %s (before: %s)", p.words, was))
		}
	}
	for _, p := range phrases(old.Capabilities) {
		if _, ok := after[p.scope]; !ok {
			dropped = append(dropped, "no longer asked: "+p.words)
		}
	}
	if old.State != new.State {
		rest = append(rest, fmt.Sprintf("state: %s (before: %s)", StateWords(new.State), StateWords(old.State)))
	}
	rest = append(rest, diffLimits(old.Limits, new.Limits)...)
	if old.Name != new.Name {
		rest = append(rest, fmt.Sprintf("name: %s (before: %s)", new.Name, old.Name))
	}
	return slices.Concat(asked, changed, dropped, rest, diffTools(old, new))
}

func diffTools(old, new abi.Manifest) []string {
	before, after := map[string]abi.Tool{}, map[string]abi.Tool{}
	for _, t := range old.Tools {
		before[t.Name] = t
	}
	for _, t := range new.Tools {
		after[t.Name] = t
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		is := after[name]
		was, ok := before[name]
		if !ok {
			out = append(out, "new tool: "+abi.FullName(new.Name, name))
			continue
		}
		var parts []string
		if !sameJSON(was.InputSchema, is.InputSchema) {
			parts = append(parts, "arguments")
		}
		if !sameJSON(was.OutputSchema, is.OutputSchema) {
			parts = append(parts, "result")
		}
		if was.Description != is.Description {
			parts = append(parts, "description")
		}
		if was.ReadOnly != is.ReadOnly {
			parts = append(parts, "whether it is read-only")
		}
		if len(parts) > 0 {
			out = append(out, fmt.Sprintf("changed tool: %s (%s)", abi.FullName(new.Name, name), strings.Join(parts, ", ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[name]; !ok {
			out = append(out, "removed tool: "+abi.FullName(old.Name, name))
		}
	}
	return out
}

// sameJSON compares two JSON texts without their spaces.
func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return bytes.Equal(a, b) || json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// Usage lists the arguments of a tool in words, the required first.
func (a *Artifact) Usage(tool string) []string {
	if s := a.schemas[tool]; s != nil {
		return arguments(s.root)
	}
	return nil
}
