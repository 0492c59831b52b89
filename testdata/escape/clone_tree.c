// attempt: clone the mounts below / to look at them without what covers them
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	if (root_of_namespaces(CLONE_NEWNS) < 0) stopped("unshare");
	int tree = syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* clone */ | O_CLOEXEC | AT_RECURSIVE);
	if (tree < 0) return stopped("open_tree");
	return escaped("tree %d", tree);
}
