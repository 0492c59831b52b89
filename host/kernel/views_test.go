package kernel_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

func TestViewsThatWereTakenAwayAreGoneFromTheWorkingDirectory(t *testing.T) {
	t.Parallel()
	dir, upload, output := t.TempDir(), zone(t, "upload"), zone(t, "output")
	before := newKernel(t, func(c *kernel.Config) {
		c.Dir, c.Views = dir, []proc.View{upload, output}
	})
	expect(t, before, "open('own', 'w').close(); import os; print(sorted(os.listdir()))", "['output', 'own', 'upload']\n")
	if err := before.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := newKernel(t, func(c *kernel.Config) {
		c.Dir, c.Views = dir, []proc.View{output}
	})
	expect(t, after, "import os; print(sorted(os.listdir()))", "['output', 'own']\n")
}
