// attempt: make system calls by their 32-bit numbers
// wall: system calls
// control: without system calls
// build: static
// proof: word
// needs: amd64
#include "escape.h"

#ifdef __x86_64__
static long call(long number, long a) {
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a) : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

int main(void) {
	long pid = call(20 /* getpid */, 0), got = call(310 /* unshare */, CLONE_NEWUSER);
	if (pid == getpid()) escaped("getpid");
	if (got == 0) escaped("unshare");
	return 1;
}
#else
int main(void) { return 1; }
#endif
