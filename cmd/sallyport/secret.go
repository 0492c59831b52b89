package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
)

func newSecret() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "keep what the host adds to plugins' requests, and no plugin sees",
		Args:  exactly(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	set := &cobra.Command{
		Use:   "set NAME",
		Short: "keep a secret, read from stdin",
		Long: `Set keeps a secret under a name. It reads the value from stdin, so that it is in
no list of processes and no shell's history: 8 bytes or more of printable ASCII. A
host that is running takes it at once.

It goes out only in the header, and only over https to the hosts, that the
policy names:

  grant:
    http:
      allow:
        - hosts: [api.example.com]
      secrets:
        - name: example-token
          header: Authorization
          prefix: "Bearer "
          hosts: [api.example.com]`,
		Example: `  sallyport secret set example-token < token.txt`,
		Args:    exactly("NAME"),
	}
	set.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		const most = 1 << 20
		value, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), most))
		if err != nil {
			return abi.Errorf(abi.CodeInvalidArgument, "the secret can't be read from stdin: %w", err)
		}
		if len(bytes.Trim(value, "\r\n")) == 0 {
			return abi.Errorf(abi.CodeInvalidArgument, "there is no secret on stdin: it is empty").
				WithHint("hand the value in, as in: sallyport secret set %s < token.txt", args[0])
		}
		if err := host.SetSecret(cfg.DataDir, args[0], value); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "kept the secret %s\n", args[0])
		return nil
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "list the secrets' names",
		Args:  exactly(),
	}
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		names, err := host.Secrets(cfg.DataDir)
		for _, name := range names {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), name); err != nil {
				return err
			}
		}
		return err
	}
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "forget a secret",
		Args:  exactly("NAME"),
	}
	remove.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		return host.RemoveSecret(cfg.DataDir, args[0])
	}
	for _, c := range []*cobra.Command{set, list, remove} {
		addSettings(c, "data_dir")
		cmd.AddCommand(c)
	}
	return cmd
}
