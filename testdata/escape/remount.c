// attempt: make a read-only view writable
// wall: system calls
// control: none: below the filter lies a second wall: what a namespace above made read-only is locked
// proof: target
#include "escape.h"

int main(void) {
	char path[4096];
	if (root_of_namespaces(CLONE_NEWNS) < 0) stopped("unshare");
	if (mount(NULL, target("UPLOAD"), NULL, MS_REMOUNT | MS_BIND, NULL) < 0) stopped("remount");
	snprintf(path, sizeof path, "%s/report.txt", target("UPLOAD"));
	int fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, "more", 4) != 4) return stopped("write");
	return escaped("written");
}
