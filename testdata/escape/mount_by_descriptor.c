// attempt: mount through the newer calls, which old filters don't know
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	if (root_of_namespaces(CLONE_NEWNS) < 0) stopped("unshare");
	int fs = syscall(SYS_fsopen, "tmpfs", 0);
	if (fs < 0) return stopped("fsopen");
	if (syscall(SYS_fsconfig, fs, 6 /* create */, NULL, NULL, 0) < 0) return stopped("fsconfig");
	int mounted = syscall(SYS_fsmount, fs, 0, 0);
	if (mounted < 0) return stopped("fsmount");
	if (syscall(SYS_move_mount, mounted, "", AT_FDCWD, "/tmp", 4 /* empty path */) < 0) return stopped("move_mount");
	return escaped("mounted");
}
