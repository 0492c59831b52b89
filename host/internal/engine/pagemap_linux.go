package engine

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ioctl PAGEMAP_SCAN of /proc/PID/pagemap (Linux 6.7 and later; its source
// is the kernel's Documentation/admin-guide/mm/pagemap.rst and
// include/uapi/linux/fs.h) tells which pages of a range are in what state.
const (
	pagemapScan = 0xc0606610 // _IOWR('f', 16, struct pm_scan_arg)

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
)

// pageRegion is struct page_region.
type pageRegion struct{ start, end, categories uint64 }

type pageRegions [64]pageRegion

// scanArg is struct pm_scan_arg.
type scanArg struct {
	size, flags                                   uint64
	start, end, walkEnd                           uint64
	vec, vecLen, maxPages                         uint64
	categoryInverted, categoryMask, categoryAnyOf uint64
	returnMask                                    uint64
}

var pagemap = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/pagemap") })

// writtenPages calls found with each run of pages of b that is no longer a
// file's, as offsets into b: of a private mapping of one, those that were
// written. It fails where the kernel can't tell. The kernel writes to regions,
// which is on the heap, where nothing moves.
func writtenPages(b []byte, regions *pageRegions, found func(from, to int) error) error {
	file, err := pagemap()
	if err != nil {
		return err
	}
	base := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	end := base + uint64(len(b))
	for at := base; at < end; {
		arg := scanArg{
			size: uint64(unsafe.Sizeof(scanArg{})), start: at, end: end,
			vec: uint64(uintptr(unsafe.Pointer(&regions[0]))), vecLen: uint64(len(regions)),
			// Not a file's, and somewhere.
			categoryInverted: pageIsFile, categoryMask: pageIsFile,
			categoryAnyOf: pageIsPresent | pageIsSwapped, returnMask: pageIsPresent,
		}
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), pagemapScan, uintptr(unsafe.Pointer(&arg)))
		runtime.KeepAlive(&regions)
		if errno != 0 {
			return fmt.Errorf("scan a plugin's pages: %w", errno)
		}
		for _, r := range regions[:n] {
			if err := found(int(r.start-base), int(r.end-base)); err != nil {
				return err
			}
		}
		if arg.walkEnd <= at {
			return fmt.Errorf("scan a plugin's pages: no way on from %#x", at)
		}
		at = arg.walkEnd
	}
	runtime.KeepAlive(b)
	return nil
}
