package host

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A Lender is a plugin whose tools another may call, by itself or through those
// that it calls: whoever may do so borrows what the lender was granted.
type Lender struct {
	Name string `json:"name"`
	// Tools are those that can be called, by their full names.
	Tools []string `json:"tools"`
	// Through names the plugins between the borrower and this one, the
	// borrower's side first; none where the borrower calls it itself.
	Through []string `json:"through,omitempty"`
	// State is that of a Listed. Unless it is ListedAllowed the lender can't be
	// called at present.
	State string `json:"state"`
	// Lends is what it was granted, in words.
	Lends []string `json:"lends"`
	// Missing are those of Tools that it doesn't have.
	Missing []string `json:"missing,omitempty"`
}

// Lenders says from whom a plugin borrows that may call so many tools, the
// nearest first. It tells what a policy and a plugin directory tell.
func Lenders(pluginDir, policyFile, borrower string, tools *abi.ToolScope) ([]Lender, error) {
	if tools == nil {
		return nil, nil
	}
	pol, err := readPolicy(policyFile)
	if err != nil {
		return nil, err
	}
	artifacts, err := artifactsIn(pluginDir)
	if err != nil {
		return nil, err
	}
	var lenders []Lender
	// A plugin that is under way isn't called again, so each is met once, on the
	// shortest way to it.
	type step struct {
		tools   []string
		through []string
	}
	for next := []step{{tools: tools.Names}}; len(next) > 0; next = next[1:] {
		s := next[0]
		for _, tool := range s.tools {
			name, _ := abi.SplitName(tool)
			if i := slices.IndexFunc(lenders, func(l Lender) bool { return l.Name == name }); i >= 0 {
				if !slices.Contains(lenders[i].Tools, tool) {
					lenders[i].Tools = append(lenders[i].Tools, tool)
				}
				continue
			}
			if name == borrower || len(s.through) >= abi.MaxToolDepth {
				continue
			}
			state, granted := lent(pol, artifacts[name], name)
			lenders = append(lenders, Lender{Name: name, Tools: []string{tool}, Through: s.through, State: state, Lends: plugin.Words(granted)})
			if granted.Tool != nil {
				next = append(next, step{granted.Tool.Names, append(slices.Clone(s.through), name)})
			}
		}
	}
	for i, l := range lenders {
		slices.Sort(l.Tools)
		if a := artifacts[l.Name]; a != nil {
			lenders[i].Missing = slices.DeleteFunc(slices.Clone(l.Tools), func(tool string) bool { return has(a, tool) })
		}
	}
	return lenders, nil
}

// lent returns the state of a plugin, and what it may do in that: of one whose
// approved file isn't there, what its entry grants.
func lent(pol *policy.Policy, a *plugin.Artifact, name string) (string, abi.Capabilities) {
	entry, known := pol.Lookup(name)
	switch {
	case !known:
		return ListedRefused, abi.Capabilities{}
	case a == nil:
		return ListedAbsent, entry.Grant
	case a.Digest != entry.Digest:
		return ListedChanged, entry.Grant
	}
	return ListedAllowed, policy.Effective(a.Manifest.Capabilities, entry.Grant, nil)
}

func has(a *plugin.Artifact, tool string) bool {
	return slices.ContainsFunc(a.Manifest.Tools, func(t abi.Tool) bool { return abi.FullName(a.Manifest.Name, t.Name) == tool })
}

// artifactsIn reads the plugins of a directory, by their names. What is no
// plugin is left out, and of two with one name the one that a host takes.
func artifactsIn(dir string) (map[string]*plugin.Artifact, error) {
	files, err := pluginFiles(dir)
	if err != nil {
		return nil, err
	}
	out := map[string]*plugin.Artifact{}
	for _, file := range files {
		a, err := plugin.Read(file)
		if err != nil {
			continue
		}
		if out[a.Manifest.Name] == nil {
			out[a.Manifest.Name] = a
		}
	}
	return out, nil
}

// Words says from whom something is borrowed and what, for an operator: a line,
// and below it one for each thing that is lent.
func (l Lender) Words() []string {
	head := "from " + l.Name + ", by " + strings.Join(l.Tools, ", ")
	if len(l.Through) > 0 {
		head += ", through " + arrows(l.Through)
	}
	switch l.State {
	case ListedRefused:
		return []string{head + ": nothing, since the policy doesn't list it"}
	case ListedChanged, ListedAbsent:
		head += " (" + l.State + ": it can't be called at present)"
	}
	lends := l.Lends
	if len(lends) == 0 {
		lends = []string{"nothing beyond its own sandbox"}
	}
	out := []string{head + ":"}
	for _, words := range lends {
		out = append(out, "  "+words)
	}
	if len(l.Missing) > 0 {
		out = append(out, "  it has no tool "+strings.Join(l.Missing, ", "))
	}
	return out
}
