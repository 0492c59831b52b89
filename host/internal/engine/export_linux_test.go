package engine

import (
	"errors"
	"os"
)

// WithoutPagemap has resets do without the kernel's word on which pages were
// written, as on kernels that don't give it. The returned function ends that.
func WithoutPagemap() (end func()) {
	was := pagemap
	pagemap = func() (*os.File, error) { return nil, errors.ErrUnsupported }
	return func() { pagemap = was }
}
