// attempt: open a socket to the machine below, which no network namespace holds
// wall: system calls
// control: without system calls
// proof: word
// needs: vsock
#include "escape.h"

int main(void) {
	int fd = socket(40 /* AF_VSOCK */, SOCK_STREAM, 0);
	if (fd < 0) return stopped("socket");
	return escaped("vsock %d", fd);
}
