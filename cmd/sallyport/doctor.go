package main

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/host"
)

// host is the configuration of a host with these settings.
func (c Config) host(log hclog.Logger) host.Config {
	return host.Config{
		DataDir: c.DataDir, PluginDir: c.PluginDir, PolicyFile: c.Policy, Python: c.Python,
		Isolation: c.Isolation, Bubblewrap: c.Bubblewrap, KernelMemoryMiB: c.KernelMemoryMiB, KernelProcesses: c.KernelProcesses, KernelProcessors: c.KernelProcessors,
		CacheDir: c.CacheDir, CAFile: c.CAFile, MaxSessions: c.MaxSessions, Logger: log,
	}
}

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "say what is there, what is missing, and what protects this machine",
		Long: `Doctor tries what a host with these settings would need, changes nothing, and
says of each part what there is and what to do. It tries every wall round child
processes by starting one behind it that attempts to get past:

  ok        it is there
  warning   a host works, with less; or one is at work on this data directory
  missing   serve refuses to start; or, without a Python for kernels or a policy
            that can be read, it starts, and calls fail

It fails when something is missing.`,
		Example: `  sallyport doctor
  sallyport doctor --isolation=preferred --json`,
		Args: exactly(),
	}
	asJSON := cmd.Flags().Bool("json", false, "print the findings as JSON")
	addSettings(cmd, "listen", "data_dir", "plugin_dir", "policy", "python", "isolation", "bubblewrap", "ca_file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		findings := host.Doctor(cmd.Context(), cfg.host(nil))
		findings = slices.Insert(findings, 1, listenFinding(cfg.Listen, hostRuns(findings)))
		if *asJSON {
			if err := printJSON(cmd.OutOrStdout(), findings); err != nil {
				return err
			}
		}
		failed := false
		for _, f := range findings {
			failed = failed || f.State == host.FindingMissing
			if *asJSON {
				continue
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-8s %-18s %s\n", f.State, f.Name, printable(f.Detail)); err != nil {
				return err
			}
			if f.Hint != "" {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-8s %-18s → %s\n", "", "", printable(f.Hint)); err != nil {
					return err
				}
			}
		}
		if failed {
			return errors.New("a part is missing that the host needs")
		}
		return nil
	}
	return cmd
}

// hostRuns says whether a host is running on the data directory.
func hostRuns(findings []host.Finding) bool {
	return slices.ContainsFunc(findings, func(f host.Finding) bool {
		return f.Name == host.DataFinding && f.State == host.FindingWarning
	})
}

// listenFinding tries the address that serve would listen on. Where a host is
// running, it is most likely the one who has it.
func listenFinding(address string, running bool) host.Finding {
	f := host.Finding{Name: "address", State: host.FindingOK, Detail: address}
	l, err := listen(address)
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		f.State, f.Detail, f.Hint = host.FindingMissing, message(err), hintOf(err)
		if running && errors.Is(err, syscall.EADDRINUSE) {
			f.State = host.FindingWarning
		}
	}
	return f
}
