package main

import (
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/host"
)

// host is the configuration of a host with these settings.
func (c Config) host(log hclog.Logger) host.Config {
	return host.Config{
		DataDir: c.DataDir, PluginDir: c.PluginDir, PolicyFile: c.Policy, Python: c.Python,
		Isolation: c.Isolation, MaxSessions: c.MaxSessions, Logger: log,
	}
}

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "say what is there, what is missing, and what protects this machine",
		Long: `Doctor tries what a host with these settings would need, changes nothing, and
says of each part whether it is there and, if not, what to do. It fails when
serve would.`,
		Example: `  sallyport doctor --isolation=off`,
		Args:    exactly(),
	}
	asJSON := cmd.Flags().Bool("json", false, "print the findings as JSON")
	addSettings(cmd, "data_dir", "plugin_dir", "policy", "python", "isolation")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		findings := host.Doctor(cmd.Context(), cfg.host(nil))
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
