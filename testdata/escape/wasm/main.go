// Command wasm tries to get out of a plugin's sandbox, one way a call. What it
// gets hold of it answers with; what stops it is the answer otherwise. Which
// wall is to stop which attempt, and how that is lifted, is in the host's test.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

// in is what an attempt is after.
type in struct {
	Attempt string `json:"attempt"`
	Path    string `json:"path,omitempty"` // of the target
	To      string `json:"to,omitempty"`   // where to put it, or a server's address
}

var attempts = map[string]func(sdk.Context, in) (string, error){
	// Files, as a program sees them.
	"read": func(ctx sdk.Context, in in) (string, error) {
		b, err := os.ReadFile(in.Path)
		return string(b), ctx.Reason(err)
	},
	"write": func(ctx sdk.Context, in in) (string, error) {
		return "written", ctx.Reason(os.WriteFile(in.Path, []byte("escaped"), 0o644))
	},
	"truncate": func(ctx sdk.Context, in in) (string, error) {
		return "truncated", ctx.Reason(os.Truncate(in.Path, 0))
	},
	"link": func(ctx sdk.Context, in in) (string, error) {
		if err := os.Link(in.Path, in.To); err != nil {
			return "", ctx.Reason(err)
		}
		return "linked", os.WriteFile(in.To, []byte("escaped"), 0o644)
	},
	"rename": func(ctx sdk.Context, in in) (string, error) {
		return "renamed", ctx.Reason(os.Rename(in.Path, in.To))
	},
	"symlink": func(ctx sdk.Context, in in) (string, error) {
		if err := os.Symlink(in.Path, in.To); err != nil {
			return "", ctx.Reason(err)
		}
		b, err := os.ReadFile(in.To)
		return string(b), err
	},

	// Files, by the calls below, which take any path from any descriptor.
	"climb": func(_ sdk.Context, in in) (string, error) {
		var errs []error
		for fd := int32(0); fd < 16; fd++ {
			for _, path := range []string{in.Path, strings.Repeat("../", 30) + strings.TrimPrefix(in.Path, "/"), "./x/../" + strings.Repeat("../", 30) + in.Path} {
				file, errno := openAt(fd, path)
				if errno != 0 {
					errs = append(errs, errno)
					continue
				}
				return readAll(file)
			}
		}
		return "", errors.Join(errs...)
	},
	"descriptors": func(sdk.Context, in) (string, error) {
		var all strings.Builder
		for fd := int32(3); fd < 256; fd++ {
			if text, err := readAll(fd); err == nil {
				all.WriteString(text)
			}
		}
		if all.Len() == 0 {
			return "", syscall.EBADF
		}
		return all.String(), nil
	},

	// What a program is started with.
	"environment": func(sdk.Context, in) (string, error) {
		if list := os.Environ(); len(list) > 0 {
			return strings.Join(list, " "), nil
		}
		return "", errors.New("there are no variables")
	},
	"arguments": func(sdk.Context, in) (string, error) {
		return fmt.Sprint(os.Args, os.Getpid(), os.Getuid()), nil
	},

	// The network.
	"dial": func(_ sdk.Context, in in) (string, error) {
		c, err := net.DialTimeout("tcp", in.To, time.Second)
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		b, err := io.ReadAll(c)
		return string(b), err
	},
	"fetch": func(ctx sdk.Context, in in) (string, error) {
		answer, err := http.Get(ctx, "http://"+in.To+"/")
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		return string(b), err
	},

	// A kernel, which runs outside of the sandbox.
	"kernel": func(ctx sdk.Context, in in) (string, error) {
		e, err := kernel.Execute(ctx, kernel.Request{Code: in.Path})
		return fmt.Sprint(e), err
	},
}

func init() {
	sdk.Tool("try", "Makes one attempt.", func(ctx sdk.Context, in in) (string, error) {
		attempt, ok := attempts[in.Attempt]
		if !ok {
			return "", sdk.BadArgument("/attempt", "there is no attempt %q", in.Attempt)
		}
		return attempt(ctx, in)
	})
}

func main() {}
