package proc

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// roughly returns an upper bound of the memory that only these processes hold,
// and the number of their threads. Pages that they share count once for each;
// those of files don't count, since the system can take them back. It reads
// what any account may read, at some microseconds a process.
func roughly(pids []int) (memory int64, threads int) {
	for _, pid := range pids {
		f := fields(pid, "status", "RssAnon", "RssShmem", "VmSwap", "Threads")
		memory += (f["RssAnon"] + f["RssShmem"] + f["VmSwap"]) << 10
		threads += int(f["Threads"])
	}
	return memory, threads
}

// closely is roughly, with shared pages divided among those that share them: a
// server that forks holds most of its memory once. It is slow, since the system
// walks all pages for it, and may be refused for a process that hides itself,
// which then counts in full.
func closely(pids []int) (private, shared int64) {
	for _, pid := range pids {
		f := fields(pid, "smaps_rollup", "Pss_Anon", "Pss_Shmem", "SwapPss")
		if _, ok := f["Pss_Anon"]; ok {
			private += (f["Pss_Anon"] + f["SwapPss"]) << 10
			shared += f["Pss_Shmem"] << 10
			continue
		}
		f = fields(pid, "status", "RssAnon", "RssShmem", "VmSwap")
		private += (f["RssAnon"] + f["VmSwap"]) << 10
		shared += f["RssShmem"] << 10
	}
	return private, shared
}

// fields reads numbers from a file of a process, none when that is gone or
// refused.
func fields(pid int, file string, names ...string) map[string]int64 {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		return nil
	}
	list := make(map[string]int64, len(names))
	for line := range bytes.Lines(data) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		for _, wanted := range names {
			if string(name) != wanted {
				continue
			}
			if words := bytes.Fields(value); len(words) > 0 {
				if n, err := strconv.ParseInt(string(words[0]), 10, 64); err == nil {
					list[wanted] = n
				}
			}
		}
	}
	return list
}

// nameless returns the bytes of files that processes hold open and that no
// folder shows: in memory, such as those of memfd_create, and on disk, where a
// deleted file keeps its blocks as long as it is open. Files on the device
// known are left out. A process that hides itself from the host's account is
// not seen, nor is a file that is only mapped, or on its way through a socket.
func nameless(pids []int, known uint64) (memory, disk int64) {
	seen := map[inode]bool{}
	for _, pid := range pids {
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		names, _ := f.Readdirnames(-1)
		f.Close()
		for _, name := range names {
			var st unix.Stat_t
			file := filepath.Join(dir, name)
			if unix.Stat(file, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 0 || st.Blocks == 0 {
				continue
			}
			id := inode{uint64(st.Dev), st.Ino}
			if seen[id] || id.device == known {
				continue
			}
			seen[id] = true
			var fs unix.Statfs_t
			if unix.Statfs(file, &fs) == nil && (fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.HUGETLBFS_MAGIC) {
				memory += st.Blocks * 512
			} else {
				disk += st.Blocks * 512
			}
		}
	}
	return memory, disk
}

// filesIn returns what a file system in memory holds, and its device; zeros
// when there is none.
func filesIn(path string) (memory int64, files int, device uint64) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if path == "" || unix.Stat(path, &st) != nil || unix.Statfs(path, &fs) != nil || fs.Type != unix.TMPFS_MAGIC {
		return 0, 0, 0
	}
	return int64(fs.Blocks-fs.Bfree) * fs.Bsize, int(fs.Files - fs.Ffree), uint64(st.Dev)
}
