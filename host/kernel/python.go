package kernel

import (
	"context"
	_ "embed"
	"os"
)

// pythonConfig is what every Python kernel is started with; its comments say why.
//
//go:embed ipython_kernel_config.py
var pythonConfig []byte

// configurePython writes the configuration of a Python kernel to its folders.
func configurePython(ctx context.Context, c *Config, root *os.Root, python program) error {
	const profile = "ipython/profile_default"
	if err := root.MkdirAll(profile, 0o700); err != nil {
		return err
	}
	if err := c.own(root, profile); err != nil {
		return err
	}
	if err := c.writeFile(root, profile+"/ipython_kernel_config.py", pythonConfig); err != nil {
		return err
	}
	return configurePlots(ctx, c, root, python)
}
