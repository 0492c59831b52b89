package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

func newPluginInspect() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect FILE.wasm",
		Short: "show what a plugin is and asks for, without running anything",
		Long: `Inspect reads a plugin's file and runs nothing of it. It shows what the plugin
asks for, in words; its tools and their arguments; what the module imports; the
files that travel with it; and what the policy says of it. Of a plugin that calls
tools of others it shows what those were granted, and those that they call in
turn: that is what it borrows. Where the plugin directory still has the version
that was approved, it shows what changed.`,
		Example: `  sallyport plugin inspect build/plugins/python.wasm
  sallyport plugin inspect build/plugins/python.wasm --json`,
		Args: exactly("FILE.wasm"),
	}
	asJSON := cmd.Flags().Bool("json", false, "print it as JSON")
	addSettings(cmd, "policy", "plugin_dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, a, err := readPlugin(cmd, args[0])
		if err != nil {
			return err
		}
		r, err := newReport(cfg, a)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), r)
		}
		_, err = io.WriteString(cmd.OutOrStdout(), r.String())
		return err
	}
	return cmd
}

// readPlugin reads the settings and a plugin's file.
func readPlugin(cmd *cobra.Command, file string) (Config, *plugin.Artifact, error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return cfg, nil, err
	}
	a, err := plugin.Read(file)
	return cfg, a, err
}

// A report is what inspect shows of a plugin.
type report struct {
	File     string          `json:"file"`
	Digest   string          `json:"digest"`
	Size     int             `json:"size"`
	Manifest abi.Manifest    `json:"manifest"`
	AsksFor  []string        `json:"asks_for"` // in words
	Borrows  []host.Lender   `json:"borrows,omitempty"`
	Imports  []plugin.Import `json:"imports"`
	Files    []string        `json:"files"`
	Policy   string          `json:"policy"`
	// Since and Changes are set where the approved version could be read.
	Since   string   `json:"since,omitempty"`
	Changes []string `json:"changes,omitempty"`

	artifact *plugin.Artifact
}

func newReport(cfg Config, a *plugin.Artifact) (*report, error) {
	r := &report{
		File: a.Path, Digest: a.Digest, Size: len(a.Wasm), Manifest: a.Manifest,
		AsksFor: orEmpty(plugin.Words(a.Manifest.Capabilities)), Imports: orEmpty(a.Imports), Files: []string{}, artifact: a,
	}
	if a.Files != nil {
		err := fs.WalkDir(a.Files, ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				r.Files = append(r.Files, name)
			}
			return err
		})
		if err != nil {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "%s: its files can't be read: %w", a.Path, err)
		}
	}
	var err error
	if r.Borrows, err = host.Lenders(cfg.PluginDir, cfg.Policy, a.Manifest.Name, a.Manifest.Capabilities.Tool); err != nil {
		return nil, err
	}
	if r.Policy, err = host.Verdict(cfg.Policy, a); err != nil {
		return nil, err
	}
	if old, err := approved(cfg, a); err != nil {
		return nil, err
	} else if old != nil {
		r.Since, r.Changes = old.Manifest.Version, plugin.Diff(old.Manifest, a.Manifest)
	}
	return r, nil
}

// approved returns the version of a plugin that the policy approved, if that is
// another one and the plugin directory still has it.
func approved(cfg Config, a *plugin.Artifact) (*plugin.Artifact, error) {
	list, err := host.List(cfg.PluginDir, cfg.Policy)
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		if l.Name == a.Manifest.Name && l.State == host.ListedAllowed && l.Digest != a.Digest {
			return plugin.Read(l.Detail)
		}
	}
	return nil, nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// String writes the report for an operator.
func (r *report) String() string {
	m := r.Manifest
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", m.Name, printable(m.Version))
	if m.Description != "" {
		fmt.Fprintf(&b, ": %s", printable(m.Description))
	}
	fmt.Fprintf(&b, "\n  file      %s, %s, ABI %d\n", printable(r.File), size(r.Size), m.ABI)
	fmt.Fprintf(&b, "  digest    %s\n", r.Digest)
	lines(&b, "policy", []string{r.Policy})
	lines(&b, "asks for", orNothing(r.AsksFor))
	lines(&b, "borrows", borrows(r.Borrows))
	lines(&b, "limits", []string{plugin.LimitWords(m.Limits)})
	lines(&b, "state", []string{plugin.StateWords(m.State)})
	b.WriteString("  tools\n")
	for _, t := range m.Tools {
		first, _, _ := strings.Cut(t.Description, "\n")
		fmt.Fprintf(&b, "    %s: %s\n", abi.FullName(m.Name, t.Name), printable(first))
		for _, u := range r.artifact.Usage(t.Name) {
			fmt.Fprintf(&b, "      %s\n", printable(u))
		}
	}
	lines(&b, "imports", imports(r.Imports))
	const most = 20
	files := r.Files[:min(most, len(r.Files))]
	if more := len(r.Files) - len(files); more > 0 {
		files = append(slices.Clone(files), fmt.Sprintf("and %d more", more))
	}
	lines(&b, "files", files)
	if r.Since != "" {
		lines(&b, "since "+printable(r.Since), sinceNothing(r.Changes))
	}
	return b.String()
}

// borrows says from whom a plugin borrows, and what.
func borrows(lenders []host.Lender) []string {
	var out []string
	for _, l := range lenders {
		out = append(out, l.Words()...)
	}
	return out
}

// imports lists the functions of each module that is imported. Those of WASI
// say little, and there are many.
func imports(list []plugin.Import) []string {
	byModule := map[string][]string{}
	for _, i := range list {
		byModule[i.Module] = append(byModule[i.Module], i.Name)
	}
	var out []string
	for _, module := range slices.Sorted(maps.Keys(byModule)) {
		names := strings.Join(slices.Compact(slices.Sorted(slices.Values(byModule[module]))), ", ")
		if module == abi.ModuleWASI {
			names = fmt.Sprintf("%d functions", len(byModule[module]))
		}
		out = append(out, module+": "+names)
	}
	return out
}

// lines writes a list beside its title.
func lines(b *strings.Builder, title string, list []string) {
	for i, l := range list {
		if i > 0 {
			title = ""
		}
		fmt.Fprintf(b, "  %-9s %s\n", title, printable(l))
	}
}

func orNothing(list []string) []string {
	if len(list) == 0 {
		return []string{"nothing beyond its own sandbox"}
	}
	return list
}

func sinceNothing(changes []string) []string {
	if len(changes) == 0 {
		return []string{"it asks for the same, and its tools are the same"}
	}
	return changes
}
