package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/host/httpapi"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "make the tokens that agents and operators show",
		Args:  exactly(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	create := &cobra.Command{
		Use:   "create",
		Short: "make a token and print it",
		Long: `Create makes a token and prints it to stdout, once: the host keeps only its hash.
A host that is running takes it at once. An agent's token makes sessions and
calls tools in them; an operator's also lists and ends everybody's sessions, and
sees plugins and the audit log.`,
		Example: `  sallyport token create --role agent --name ada
  export SALLYPORT_TOKEN=$(sallyport token create --role agent --name ada)`,
		Args: exactly(),
	}
	role := create.Flags().String("role", "agent", "agent or operator")
	name := create.Flags().String("name", "unnamed", "who holds it, for the audit log")
	addSettings(create, "data_dir")
	create.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		secret, t, err := httpapi.CreateToken(filepath.Join(cfg.DataDir, httpapi.TokensFile), httpapi.Role(*role), *name)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "made token %s for %s %q; this is the only time it is shown\n", t.ID, t.Role, t.Name)
		_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
		return err
	}
	cmd.AddCommand(create)
	return cmd
}
