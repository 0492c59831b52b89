package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// configFile is read from the working directory, if it is there.
const configFile = "sallyport.yaml"

// A Config is what sallyport.yaml holds. Each key is also a flag of the
// commands that use it (data_dir is --data-dir) and an environment variable
// (SALLYPORT_DATA_DIR). A flag is stronger than the environment, and the
// environment stronger than the file. What is empty is as if it weren't there.
type Config struct {
	Listen       string   `yaml:"listen"`
	AllowedHosts []string `yaml:"allowed_hosts"`
	DataDir      string   `yaml:"data_dir"`
	PluginDir    string   `yaml:"plugin_dir"`
	Policy       string   `yaml:"policy"`
	Python       string   `yaml:"python"`
	Isolation    string   `yaml:"isolation"`
	Bubblewrap   string   `yaml:"bubblewrap"`

	KernelMemoryMiB  int `yaml:"kernel_memory_mib"`
	KernelProcesses  int `yaml:"kernel_processes"`
	KernelProcessors int `yaml:"kernel_processors"`

	CacheDir    string `yaml:"cache_dir"`
	CAFile      string `yaml:"ca_file"`
	MaxSessions int    `yaml:"max_sessions"`
	LogLevel    string `yaml:"log_level"`
	LogFormat   string `yaml:"log_format"`
}

// defaults are the settings where nobody says otherwise.
func defaults() Config {
	return Config{
		Listen: "127.0.0.1:7425", DataDir: "sallyport-data", PluginDir: "build/plugins", Policy: "policy.yaml",
		Python: defaultPython(), Isolation: "required", Bubblewrap: "bwrap", LogLevel: "info", LogFormat: "text",
	}
}

// defaultPython is the environment that make setup made, if the command is run
// beside it.
func defaultPython() string {
	const ours = ".venv/bin/python"
	if _, err := os.Stat(ours); errors.Is(err, fs.ErrNotExist) {
		return "python3"
	}
	return ours
}

// A setting is one key of Config.
type setting struct {
	key    string // data_dir
	usage  string
	choice []string          // the values there are; nil is any
	field  func(*Config) any // a *string, *int or *[]string
	least  int               // that a number may be, if it isn't 0
}

var settings = []setting{
	{"listen", "address to listen on; port 0 is any free one", nil, func(c *Config) any { return &c.Listen }, 0},
	{"allowed_hosts", "names that requests may be for, besides loopback's, with commas between", nil, func(c *Config) any { return &c.AllowedHosts }, 0},
	{"data_dir", "the host's own folder", nil, func(c *Config) any { return &c.DataDir }, 0},
	{"plugin_dir", "folder of the plugins' .wasm files", nil, func(c *Config) any { return &c.PluginDir }, 0},
	{"policy", "the whitelist", nil, func(c *Config) any { return &c.Policy }, 0},
	{"python", "the kernels' interpreter", nil, func(c *Config) any { return &c.Python }, 0},
	{"isolation", "walls round child processes: required, preferred or off", []string{"required", "preferred", "off"}, func(c *Config) any { return &c.Isolation }, 0},
	{"bubblewrap", "the program that puts the walls up", nil, func(c *Config) any { return &c.Bubblewrap }, 0},
	{"kernel_memory_mib", "memory of one kernel's processes, in MiB, 128 or more; 0 is 4096", nil, func(c *Config) any { return &c.KernelMemoryMiB }, 128},
	{"kernel_processes", "processes and threads of one kernel, 16 or more; 0 is 512", nil, func(c *Config) any { return &c.KernelProcesses }, 16},
	{"kernel_processors", "processors' worth of time of one kernel; 0 is all that the machine has", nil, func(c *Config) any { return &c.KernelProcessors }, 0},
	{"cache_dir", "folder of plugins' native code and kernels' fonts, to start sooner the next time; empty is one in data_dir, and none for a test", nil, func(c *Config) any { return &c.CacheDir }, 0},
	{"ca_file", "PEM file of authorities to trust, besides the system's, in what plugins fetch; code in kernels brings its own", nil, func(c *Config) any { return &c.CAFile }, 0},
	{"max_sessions", "sessions that may be open at once; 0 is the host's default", nil, func(c *Config) any { return &c.MaxSessions }, 0},
	{"log_level", "debug, info, warn or error", []string{"debug", "info", "warn", "error"}, func(c *Config) any { return &c.LogLevel }, 0},
	{"log_format", "text or json", []string{"text", "json"}, func(c *Config) any { return &c.LogFormat }, 0},
}

func (s setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }
func (s setting) env() string  { return "SALLYPORT_" + strings.ToUpper(s.key) }

// set reads a setting from the text of a flag or a variable.
func (s setting) set(c *Config, text string) error {
	switch field := s.field(c).(type) {
	case *string:
		*field = text
	case *[]string:
		*field = strings.Split(text, ",")
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("is %q: use a whole number", text)
		}
		*field = n
	}
	return s.check(c)
}

// check says what is wrong with a value, wherever it came from.
func (s setting) check(c *Config) error {
	switch field := s.field(c).(type) {
	case *string:
		if *field != "" && s.choice != nil && !slices.Contains(s.choice, *field) {
			return fmt.Errorf("is %q: use one of %s", *field, strings.Join(s.choice, ", "))
		}
	case *int:
		if *field < 0 {
			return fmt.Errorf("is %d: use 0 or more", *field)
		}
		if *field != 0 && *field < s.least {
			return fmt.Errorf("is %d: use %d or more, or 0 for the default", *field, s.least)
		}
	}
	return nil
}

// take takes from another Config a value that isn't empty.
func (s setting) take(c, from *Config) {
	switch field := s.field(c).(type) {
	case *string:
		*field = cmp.Or(*s.field(from).(*string), *field)
	case *int:
		*field = cmp.Or(*s.field(from).(*int), *field)
	case *[]string:
		if list := *s.field(from).(*[]string); len(list) > 0 {
			*field = list
		}
	}
}

// addSettings gives cmd flags for settings.
func addSettings(cmd *cobra.Command, keys ...string) {
	d := defaults()
	for _, key := range keys {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
		s := settings[i]
		note := "also " + s.env()
		if v, ok := s.field(&d).(*string); ok {
			note = fmt.Sprintf("default %q; %s", *v, note)
		}
		cmd.Flags().String(s.flag(), "", fmt.Sprintf("%s (%s)", s.usage, note))
	}
}

// loadConfig joins defaults, file, environment and flags.
func loadConfig(cmd *cobra.Command) (Config, error) {
	c := defaults()
	file, err := readConfig(cmd)
	if err != nil {
		return c, err
	}
	for _, s := range settings {
		s.take(&c, &file)
		if v := os.Getenv(s.env()); v != "" {
			if err := s.set(&c, v); err != nil {
				return c, usageError{fmt.Errorf("%s %w", s.env(), err)}
			}
		}
		if f := cmd.Flags().Lookup(s.flag()); f != nil && f.Changed {
			if err := s.set(&c, f.Value.String()); err != nil {
				return c, usageError{fmt.Errorf("--%s %w", s.flag(), err)}
			}
		}
	}
	return c, nil
}

// readConfig reads the settings file, empty where there is none.
func readConfig(cmd *cobra.Command) (Config, error) {
	var c Config
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return c, err
	}
	named := file != ""
	file = cmp.Or(file, configFile)
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return c, nil
	case err != nil:
		return c, abi.Errorf(abi.CodeInvalidArgument, "the settings can't be read: %w", err).WithHint("name the file with --config")
	}
	src, err := strictyaml.Decode(b, &c)
	if err != nil {
		return c, strictyaml.InFile(file, err)
	}
	for _, s := range settings {
		if err := s.check(&c); err != nil {
			return c, strictyaml.InFile(file, src.Errorf(s.key, "%s %v", s.key, err))
		}
	}
	return c, nil
}

// logger makes the log that a command writes to stderr.
func (c Config) logger(cmd *cobra.Command) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "sallyport", Level: hclog.LevelFromString(c.LogLevel), Output: cmd.ErrOrStderr(), JSONFormat: c.LogFormat == "json",
	})
}
