// attempt: take an open file from another process of the account
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	int process = syscall(SYS_pidfd_open, sibling(), 0);
	if (process < 0) return stopped("pidfd_open");
	int taken = syscall(SYS_pidfd_getfd, process, 9, 0);
	if (taken < 0) return stopped("pidfd_getfd");
	return escaped("descriptor %d", taken);
}
