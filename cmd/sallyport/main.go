// Sallyport is the command line: flags, signals and exit codes. What it does is
// done by packages host, httpapi and plugin.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole command: 0 is success, 1 a failure, 2 a wrong use.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "sallyport: error:", printable(message(err)))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintln(stderr, "sallyport: hint:", printable(hint))
	}
	if errors.As(err, new(usageError)) {
		fmt.Fprintf(stderr, "sallyport: hint: %s --help explains the command\n", cmd.CommandPath())
		return 2
	}
	return 1
}

// message is what a person is told of err: codes are for programs.
func message(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, err := range joined.Unwrap() {
			all = append(all, message(err))
		}
		return strings.Join(all, "; ")
	}
	var e *abi.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

func hintOf(err error) string {
	var e *abi.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// A usageError is a command line that makes no sense.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "let an AI agent work with a Python kernel, the network and files, through plugins you allow",
		Long: `Sallyport lets an AI agent work with a Python kernel, the network and a workspace
of files without being handed any of them. Tools are WebAssembly plugins; each sees only what
you grant it, and agents see only the plugins' tools, over HTTP.

  operators   sallyport plugin inspect · allow · list, serve, token create, secret set, audit,
              doctor
  authors     sallyport plugin new · build · test · pack
  agents      sallyport call`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          exactly(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().String("config", "", "settings file (default: sallyport.yaml, if it is there)")
	root.AddCommand(newServe(), newCall(), newPlugin(), newToken(), newSecret(), newAudit(), newDoctor(), newVersion())
	return root
}

// exactly is cobra's argument check, worded as the rest. A command that has
// commands of its own takes no arguments: exactly() names them.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{fmt.Errorf("%s is missing", names[len(args)])}
		case len(args) == len(names):
			return nil
		case cmd.HasSubCommands():
			return noCommand(cmd, args[0])
		}
		return usageError{fmt.Errorf("%q is one argument too many", args[len(names)])}
	}
}

// atMostOne takes one argument or none.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return nil
	}
	return usageError{fmt.Errorf("%q is one argument too many", args[1])}
}

// noCommand says that cmd has no command of this name, and which is meant.
func noCommand(cmd *cobra.Command, name string) error {
	err := abi.Errorf(abi.CodeInvalidArgument, "%s has no command %q", cmd.CommandPath(), name)
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err = err.WithHint("is %s meant?", strings.Join(near, " or "))
	}
	return usageError{err}
}
