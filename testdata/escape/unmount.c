// attempt: take away the mount that covers a folder
// wall: system calls
// control: bare root: below the filter lies a second wall: mounts of a namespace above are locked together
// control-user: none: below the filter lies a second wall: mounts of a namespace above are locked together
// proof: word
#include "escape.h"

int main(void) {
	if (unshare(CLONE_NEWNS) < 0 && root_of_namespaces(CLONE_NEWNS) < 0) stopped("unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return stopped("private");
	if (umount2("/dev/shm", MNT_DETACH) < 0) return stopped("umount2");
	return escaped("uncovered");
}
