package abi

import (
	"encoding/json"
	"regexp"
	"strings"
)

// A Manifest says what a plugin is and what it asks for. It is the JSON of the
// module's section "sallyport.manifest" and is read without running anything.
type Manifest struct {
	ABI          int          `json:"abi"`
	Name         string       `json:"name"`
	Version      string       `json:"version"`
	Description  string       `json:"description,omitempty"`
	Tools        []Tool       `json:"tools"`
	Capabilities Capabilities `json:"capabilities"`
	Limits       Limits       `json:"limits"`
	// State says how long an instance lives: StateCall or StateSession.
	State string `json:"state,omitempty"`
}

// How long an instance of a plugin lives.
const (
	// StateCall gives every call the plugin as it was when it began: nothing
	// is left from one call to the next.
	StateCall = ""
	// StateSession keeps one instance a session, whose calls follow one
	// another. It begins anew after a call that failed in the plugin.
	StateSession = "session"
)

// A Tool is what an agent calls. Its place in the manifest's list is the
// number that the call export gets.
type Tool struct {
	Name         string          `json:"name"` // without the plugin's: "run"
	Description  string          `json:"description"`
	InputSchema  json.RawMessage `json:"inputSchema"`            // JSON Schema of an object
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"` // of structuredContent, where the tool promises one
	ReadOnly     bool            `json:"readOnly,omitempty"`     // the tool changes nothing: a hint for agents
}

// A Description is the header that the describe export answers with: what the
// manifest has to know and only the code can tell.
type Description struct {
	ABI   int    `json:"abi"`
	Tools []Tool `json:"tools"`
}

var (
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)
	toolName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,61}$`)
)

// ValidPluginName says whether name can be a plugin's: a lower-case letter and
// then up to 31 letters and digits.
func ValidPluginName(name string) bool { return pluginName.MatchString(name) }

// FullName joins a plugin's and a tool's name: "python_run". A plugin's name
// has no underscore, so the join is one to one.
func FullName(plugin, tool string) string { return plugin + "_" + tool }

// SplitName splits what FullName joined. Without an underscore the tool is
// empty.
func SplitName(full string) (plugin, tool string) {
	plugin, tool, _ = strings.Cut(full, "_")
	return plugin, tool
}

// ValidFullName says whether name can be a tool's full name.
func ValidFullName(name string) bool {
	plugin, tool := SplitName(name)
	return len(name) <= MaxToolName && ValidPluginName(plugin) && toolName.MatchString(tool)
}

// Validate says what is wrong with m, naming the field.
func (m *Manifest) Validate() error {
	if m.ABI > Version {
		return Errorf(CodeUnimplemented, "the plugin speaks ABI %d, this host speaks %d", m.ABI, Version).
			WithHint("build the plugin for ABI %d, or update the host", Version)
	}
	if m.ABI != Version {
		return Errorf(CodeInvalidArgument, "abi is %d: this host speaks %d", m.ABI, Version)
	}
	if !ValidPluginName(m.Name) {
		return Errorf(CodeInvalidArgument, "name is %q: use a lower-case letter and then up to 31 letters and digits", m.Name)
	}
	if m.Version == "" {
		return Errorf(CodeInvalidArgument, "version is empty")
	}
	if m.State != StateCall && m.State != StateSession {
		return Errorf(CodeInvalidArgument, "state is %q: leave it out, or use %s", m.State, StateSession)
	}
	if len(m.Tools) == 0 {
		return Errorf(CodeInvalidArgument, "the plugin has no tools")
	}
	seen := map[string]bool{}
	for _, t := range m.Tools {
		if !toolName.MatchString(t.Name) {
			return Errorf(CodeInvalidArgument, "tool name is %q: use a lower-case letter and then letters, digits and underscores", t.Name)
		}
		if full := FullName(m.Name, t.Name); len(full) > MaxToolName {
			return Errorf(CodeInvalidArgument, "tool name %q has %d characters, at most %d are allowed", full, len(full), MaxToolName)
		}
		if seen[t.Name] {
			return Errorf(CodeInvalidArgument, "two tools are named %q", t.Name)
		}
		seen[t.Name] = true
		if t.Description == "" {
			return Errorf(CodeInvalidArgument, "tool %q has no description", t.Name)
		}
		var schema struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(t.InputSchema, &schema); err != nil || schema.Type != "object" {
			return Errorf(CodeInvalidArgument, "tool %q: inputSchema is not a JSON Schema of type object", t.Name)
		}
	}
	if err := m.Capabilities.Validate(); err != nil {
		return err
	}
	return m.Limits.Validate()
}
