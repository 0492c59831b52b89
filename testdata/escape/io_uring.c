// attempt: make calls through a ring, past the filter of calls
// wall: system calls
// control: without system calls
// proof: word
// needs: /proc/sys/kernel/io_uring_disabled=0
#include "escape.h"

int main(void) {
	char params[120] = {0};
	int ring = syscall(SYS_io_uring_setup, 4, params);
	if (ring < 0) return stopped("io_uring_setup");
	return escaped("ring %d", ring);
}
