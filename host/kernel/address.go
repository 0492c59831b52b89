package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// An address is where one of a kernel's sockets is. The kernel can put anything
// there, so what is there is looked at before it is connected to: a link to
// another program's socket would be followed with the host's rights.
type address struct {
	folder *os.Root
	name   string
	owner  int // the account that the kernel runs under
}

// openPath is O_PATH, which names a file without opening it. Package syscall
// doesn't have it.
const openPath = 0x200000

// errNotOurs is why an address isn't connected to.
var errNotOurs = errors.New("what the kernel has put in the place of its socket is none of its own")

// dial connects, waiting for the socket to be bound.
func (a address) dial(ctx context.Context) (net.Conn, error) {
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := a.connect(ctx)
		failure, _ := errors.AsType[net.Error](err)
		switch {
		case failure != nil && failure.Timeout(): // ctx's deadline, a moment before ctx says so
			<-ctx.Done()
			return nil, ctx.Err()
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
			return conn, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// connect connects to the very file that it has looked at.
func (a address) connect(ctx context.Context) (net.Conn, error) {
	f, err := a.folder.OpenFile(a.name, openPath|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeSocket || ownerOf(info) != a.owner {
		return nil, fmt.Errorf("%w: %s is a %v", errNotOurs, a.name, info.Mode())
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}
