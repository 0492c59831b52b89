package httpapi_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sallyport-dev/sallyport/host"
)

func withPython(python string) func(*host.Config) {
	return func(c *host.Config) { c.Python = python }
}

func withSessions(most int) func(*host.Config) {
	return func(c *host.Config) { c.MaxSessions = most }
}

func withQuota(bytes int64) func(*host.Config) {
	return func(c *host.Config) { c.Workspace.MaxBytes = bytes }
}

// ownerOf returns the account that a file belongs to.
func ownerOf(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// alive says whether a process is there and not a zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(after, "Z")
}
