// attempt: put another root in the place of its own
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	if (root_of_namespaces(CLONE_NEWNS) < 0) stopped("unshare");
	if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0) stopped("mount");
	if (chdir("/tmp") < 0 || mkdir("old", 0700) < 0) stopped("mkdir");
	if (syscall(SYS_pivot_root, ".", "old") < 0) return stopped("pivot_root");
	return access("/old/usr", F_OK) ? stopped("old root") : escaped("the root is another");
}
