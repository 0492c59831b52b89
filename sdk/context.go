package sdk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Context is one call of a tool. It ends when the call's time is over. It may
// be passed wherever a context.Context is taken, and a context derived from it
// serves host functions as well.
type Context struct {
	context.Context
	Session string // the session's id
	Call    string // this call's id, as in the host's logs

	group *group // nil where there is no call, as in tests of a function by itself
}

// Value returns what context.Context documents.
func (c Context) Value(key any) any {
	if key == (groupKey{}) && c.group != nil {
		return c.group
	}
	return c.Context.Value(key)
}

// A Host answers for the sandbox when a tool runs natively. Authors get one
// from sdktest.
type Host interface {
	// Invoke carries out an operation, such as "kernel.execute".
	Invoke(ctx context.Context, op string, frame []byte) ([]byte, error)
	// Path returns the native path of a guest's.
	Path(guest string) string
	// Reason returns the typed reason behind a failed file call.
	Reason(err error) error
}

type hostKey struct{}

// WithHost returns a context in which tools run natively against a host.
func WithHost(ctx context.Context, h Host) context.Context {
	return context.WithValue(ctx, hostKey{}, h)
}

// A Level says how much a line of the log matters.
type Level string

// Levels, from the least to the most.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info"
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// Log writes a line to the host's log, for the operator. Fields are keys and
// values in turn, as in log/slog. It never fails: a line that can't be written
// isn't worth a call.
func (c Context) Log(level Level, message string, fields ...any) {
	req := abi.LogRequest{Level: string(level), Message: message}
	if len(fields) > 0 {
		req.Fields = make(map[string]any, (len(fields)+1)/2)
	}
	for i := 0; i < len(fields); i += 2 {
		key := fmt.Sprint(fields[i])
		if i+1 == len(fields) {
			req.Fields["!badkey"] = key
			break
		}
		req.Fields[key] = loggable(fields[i+1])
	}
	_, _ = Invoke(c, abi.OpCallLog, importLog, req, nil)
}

// loggable returns v as something that JSON can carry.
func loggable(v any) any {
	switch v := v.(type) {
	case nil, bool, string, int, int64, uint64, float64:
		return v
	case error:
		return v.Error()
	}
	return fmt.Sprint(v)
}

// Progress tells the agent how far the call has come. Total is zero where it
// isn't known; done must not fall. Like Log it never fails.
func (c Context) Progress(done, total float64, message string) {
	_, _ = Invoke(c, abi.OpCallProgress, importProgress, abi.ProgressRequest{Progress: done, Total: total, Message: message}, nil)
}

// Config returns one of the settings that the operator gave the plugin, "" for
// one that isn't set.
func (c Context) Config(key string) (string, error) {
	f, err := Invoke(c, abi.OpCallConfig, importConfig, nil, nil)
	if err != nil {
		return "", err
	}
	var resp abi.ConfigResponse
	if err := f.Decode(&resp); err != nil {
		return "", err
	}
	return resp.Config[key], nil
}

// Path returns the path to give to os for a file of the workspace, such as
// /output/chart.png, of the plugin's own resources under /skill, or of /tmp. In
// a sandbox it is the same path; in native tests it lies in a temporary
// directory. A relative path starts at the root: output/chart.png is the same.
func (c Context) Path(guest string) string { return nativePath(c, path.Join("/", guest)) }

// Reason returns the host's typed reason for a file call that just failed, an
// *abi.Error such as permission_denied with the zone's rule, whose cause is
// err. Where the host gave none it returns err itself, and nil for nil.
//
// There is one pending reason, that of the last file call that failed: ask at
// once, before any other. Functions that make several calls may end with
// another than the one they report, as os.MkdirAll does; a reason that
// contradicts err is then dropped.
func (c Context) Reason(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*abi.Error](reason(c, err))
	if !ok || contradicts(e.Code, err) {
		return err
	}
	return e
}

func contradicts(code abi.Code, err error) bool {
	if errors.Is(err, fs.ErrPermission) {
		return code != abi.CodePermissionDenied
	}
	return errors.Is(err, fs.ErrNotExist) && code == abi.CodePermissionDenied
}
