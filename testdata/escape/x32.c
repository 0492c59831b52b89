// attempt: make system calls by their x32 numbers, which name the same calls
// wall: system calls
// control: without system calls
// build: static
// proof: word
// needs: x32
#include "escape.h"

int main(void) {
	if (syscall(0x40000000 | 39 /* getpid */) == getpid()) escaped("getpid");
	if (syscall(0x40000000 | 272 /* unshare */, CLONE_NEWUSER) == 0) escaped("unshare");
	return stopped("x32");
}
