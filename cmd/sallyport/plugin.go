package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

func newPlugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "make plugins, test them, look into them, and decide which may run",
		Long: `A plugin is one .wasm file: code, the schemas of its tools, and a manifest that
says what it asks for.

  authors     new, build, test, pack
  operators   inspect, allow, list`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPluginNew(), newPluginBuild(), newPluginTest(), newPluginPack(), newPluginInspect(), newPluginAllow(), newPluginList())
	return cmd
}

func newPluginNew() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new DIR",
		Short: "start a plugin: a Go tool with a test and a README",
		Long: `New makes a folder with a tool that works, its test, a recorded call of it,
plugin.yaml and a README.
Inside a checkout of Sallyport the SDK is taken from it; elsewhere from --sdk, or
from the published module.`,
		Example: `  sallyport plugin new greeter
  cd greeter && sallyport plugin test && sallyport plugin build`,
		Args: exactly("DIR"),
	}
	name := cmd.Flags().String("name", "", "the plugin's name (default: the folder's)")
	sdk := cmd.Flags().String("sdk", "", "checkout of Sallyport to take the SDK from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *sdk == "" {
			*sdk = plugin.FindSDK(".")
		}
		if err := plugin.New(plugin.NewConfig{Dir: args[0], Name: *name, SDK: *sdk}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "made %s; next: cd %[1]s && sallyport plugin test && sallyport plugin build\n", args[0])
		return err
	}
	return cmd
}

func newPluginBuild() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "compile a Go plugin to one .wasm file",
		Long: `Build compiles the package in DIR (default: here) with the go command, asks it for
its tools and their schemas, and embeds them with plugin.yaml. The same source
and toolchain give the same file, wherever the folder is.`,
		Example: `  sallyport plugin build
  sallyport plugin build plugins/python -o build/plugins/python.wasm`,
		Args: atMostOne,
	}
	out := cmd.Flags().StringP("output", "o", "", "file to write (default: NAME.wasm in DIR)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := plugin.Build(cmd.Context(), plugin.BuildConfig{
			Dir: strings.Join(args, ""), Output: *out, Describe: host.Describe, Stderr: cmd.ErrOrStderr(),
		})
		if err != nil {
			return err
		}
		return built(cmd.OutOrStdout(), a)
	}
	return cmd
}

func newPluginPack() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pack FILE.wasm",
		Short: "embed a manifest into a module of another toolchain",
		Long: `Pack makes a plugin of a module that clang, Rust or another toolchain built. The
manifest is a plugin.yaml, whose tools the module's describe export tells, or a
JSON file. Tools that a JSON file has are taken from it, and nothing is run.
A manifest that is in the module already is replaced.`,
		Example: `  sallyport plugin pack probe.wasm --manifest plugin.yaml
  sallyport plugin pack probe.wasm --manifest manifest.json -o build/plugins/probe.wasm`,
		Args: exactly("FILE.wasm"),
	}
	manifest := cmd.Flags().String("manifest", plugin.SourceFile, "plugin.yaml, or a manifest in JSON whose name ends in .json")
	out := cmd.Flags().StringP("output", "o", "", "file to write (default: FILE.wasm itself)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *out == "" {
			*out = args[0]
		}
		a, err := plugin.PackFile(cmd.Context(), plugin.PackConfig{
			Module: args[0], Manifest: *manifest, Output: *out, Describe: host.Describe,
		})
		if err != nil {
			return err
		}
		return built(cmd.OutOrStdout(), a)
	}
	return cmd
}

// built says what was made.
func built(w io.Writer, a *plugin.Artifact) error {
	tools := "1 tool"
	if n := len(a.Manifest.Tools); n != 1 {
		tools = fmt.Sprintf("%d tools", n)
	}
	_, err := fmt.Fprintf(w, "built %s: %s %s, %s, %s, %s\n", filepath.ToSlash(a.Path), a.Manifest.Name, a.Manifest.Version, size(len(a.Wasm)), tools, a.Digest)
	return err
}

func size(bytes int) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}
