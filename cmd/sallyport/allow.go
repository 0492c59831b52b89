package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

func newPluginAllow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "allow FILE.wasm",
		Short: "put a plugin on the whitelist, pinned to its digest",
		Long: `Allow shows what the plugin asks for, and what a new version asks for that the
approved one didn't, and then writes it into the policy: its digest, and a grant
of what it asks for, less what --without takes away. A plugin that is there
already is renewed: its limits and settings are kept, and it is granted no more
than it was, however much it asks for, unless you say --widen. What it asks for
and doesn't get is shown as withheld. A running host takes the policy at once.

A plugin that asks to reach any host over HTTP gets no HTTP until you name the
hosts with --host; --host '*' is any host. Where the entry has hosts already,
--host alone narrows it to those, and --widen --host adds to them. Secrets that
it leaves to you, and addresses that aren't public, are written into the policy
by hand.

A plugin that may call a tool of another's borrows what that was granted, and what
it borrows in turn. That is shown, as far as the policy and the plugin directory
tell; what is granted to a lender later is borrowed as well.

On a terminal it asks before it writes, unless --yes says so already. In a script
it doesn't ask: the command is the answer, and what it printed is what it granted.`,
		Example: `  sallyport plugin allow build/plugins/python.wasm
  sallyport plugin allow build/plugins/files.wasm --without files.deploy
  sallyport plugin allow build/plugins/files.wasm --widen
  sallyport plugin allow build/plugins/http.wasm --host api.example.com --host '*.example.org'
  sallyport plugin allow build/plugins/http.wasm --widen --host docs.example.com`,
		Args: exactly("FILE.wasm"),
	}
	without := cmd.Flags().StringSlice("without", nil, "capability not to grant: kernel, kernel.network, http, files, a zone such as files.store, tool, or a tool such as tool.files_read; may be repeated")
	hosts := cmd.Flags().StringArray("host", nil, "host that it may reach over HTTP: a name, *.example.com, an address, or '*' for any; may be repeated")
	widen := cmd.Flags().Bool("widen", false, "grant what it asks for beyond what it was granted before, and take nothing away")
	yes := cmd.Flags().Bool("yes", false, "don't ask")
	addSettings(cmd, "policy", "plugin_dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, a, err := readPlugin(cmd, args[0])
		if err != nil {
			return err
		}
		approval, err := host.Prepare(cfg.Policy, a, host.Terms{Without: *without, Hosts: *hosts, Widen: *widen})
		if err != nil {
			return err
		}
		old, err := approved(cfg, a)
		if err != nil {
			return err
		}
		lenders, err := host.Lenders(cfg.PluginDir, cfg.Policy, a.Manifest.Name, approval.Entry.Grant.Tool)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if _, err := io.WriteString(out, request(a, approval, lenders, old)); err != nil {
			return err
		}
		if !*yes && isTerminal(cmd.InOrStdin()) && !confirmed(cmd.Context(), cmd.InOrStdin(), out) {
			return abi.Errorf(abi.CodeCanceled, "%s was not allowed", a.Manifest.Name).WithHint("%s is as it was", cfg.Policy)
		}
		if err := approval.Write(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "allowed in %s\n", cfg.Policy)
		return err
	}
	return cmd
}

// request says what allowing a plugin would grant, and what that changes. The
// version that is approved may be unknown.
func request(a *plugin.Artifact, approval *host.Approval, lenders []host.Lender, old *plugin.Artifact) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, %s\n", a.Manifest.Name, printable(a.Manifest.Version), a.Digest)
	lines(&b, "grants", orNothing(plugin.Words(approval.Entry.Grant)))
	lines(&b, "borrows", borrows(lenders))
	lines(&b, "changes", approval.Changes)
	lines(&b, "withheld", approval.Withheld)
	lines(&b, "hosts", hostsNote(a, approval))
	if old != nil {
		lines(&b, "since "+printable(old.Manifest.Version), sinceNothing(plugin.Diff(old.Manifest, a.Manifest)))
	}
	if l := approval.Entry.Limits; l != (abi.Limits{}) {
		lines(&b, "limits", []string{plugin.LimitWords(l) + " (yours, kept)"})
	}
	return b.String()
}

// hostsNote says how a plugin that asks for any host is granted some, what it
// means that it was granted any, and which are granted and still not reached.
func hostsNote(a *plugin.Artifact, approval *host.Approval) []string {
	if approval.HostsUnnamed {
		return []string{
			"name those that it may reach: sallyport plugin allow " + a.Path + " --widen --host api.example.com",
		}
	}
	h := approval.Entry.Grant.HTTP
	if h == nil {
		return nil
	}
	var notes []string
	for _, r := range h.Allow {
		if slices.Contains(r.Hosts, abi.AnyHost) {
			notes = append(notes, "any host: whatever the plugin gets to see, it can send to whomever it likes")
		}
		for _, host := range r.Hosts {
			if addr, err := netip.ParseAddr(host); err == nil && !isPublic(addr) && !holds(r, addr) {
				notes = append(notes, addressNote(a.Manifest.Capabilities.HTTP, host, addr))
			}
		}
	}
	slices.Sort(notes)
	return slices.Compact(notes)
}

// addressNote says what a rule still lacks to reach an address that isn't
// public, which a plugin asked for.
func addressNote(asked *abi.HTTPScope, host string, addr netip.Addr) string {
	note := fmt.Sprintf("%s isn't public, and isn't reached: ", host)
	if asked == nil || !slices.ContainsFunc(asked.Allow, func(r abi.HTTPRule) bool { return holds(r, addr) }) {
		return note + "the plugin asks for no such addresses"
	}
	return note + fmt.Sprintf("write into its rule by hand  addresses: [\"%s\"]", netip.PrefixFrom(addr, addr.BitLen()))
}

func isPublic(a netip.Addr) bool {
	return !a.IsLoopback() && !a.IsPrivate() && !a.IsLinkLocalUnicast() && !a.IsUnspecified()
}

// holds says whether a rule lists an address.
func holds(r abi.HTTPRule, addr netip.Addr) bool {
	return slices.ContainsFunc(r.Addresses, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// isTerminal says whether somebody may be sitting at r: it is a character
// device, and not the null device, which scripts and services have for input.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func confirmed(ctx context.Context, in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "allow it? [y/N] ")
	answer := make(chan string, 1)
	go func() { // ends with the process: a read of a terminal can't be cancelled
		var s string
		_, _ = fmt.Fscanln(in, &s)
		answer <- s
	}()
	select {
	case s := <-answer:
		return strings.EqualFold(s, "y") || strings.EqualFold(s, "yes")
	case <-ctx.Done():
		return false
	}
}

func newPluginList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the plugins there are, and which of them may run",
		Long: `List shows the files of the plugin directory and the entries of the policy:

  allowed        the policy lists this very file
  changed        the policy lists the plugin, and the file is another than approved
  not allowed    the policy doesn't list it
  absent         the policy lists it, and there is no file of it
  not a plugin   the file can't be one; sallyport plugin inspect says more`,
		Example: `  sallyport plugin list
  sallyport plugin list --plugin-dir build/plugins --json`,
		Args: exactly(),
	}
	asJSON := cmd.Flags().Bool("json", false, "print the list as JSON")
	addSettings(cmd, "plugin_dir", "policy")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		list, err := host.List(cfg.PluginDir, cfg.Policy)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s has no plugins, and %s lists none\n", cfg.PluginDir, cfg.Policy)
			return err
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, l := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.State, printable(l.Name), printable(l.Version), printable(l.Detail))
		}
		return w.Flush()
	}
	return cmd
}
