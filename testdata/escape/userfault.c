// attempt: hold up the system's kernel at a page of its own
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	int fd = syscall(SYS_userfaultfd, 1 /* user mode only */);
	if (fd < 0) return stopped("userfaultfd");
	return escaped("userfaultfd %d", fd);
}
