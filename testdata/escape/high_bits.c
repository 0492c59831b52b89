// attempt: call with bits above those that the system reads, for a filter to stumble over
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	const long high = 0x7fffffff00000000L;
	if (syscall(SYS_socket, high | AF_INET, high | SOCK_RAW, 1) >= 0) escaped("a raw socket");
	if (syscall(SYS_socket, high | 40 /* AF_VSOCK */, high | SOCK_STREAM, 0) >= 0) escaped("a vsock socket");
	if (syscall(SYS_unshare, high | CLONE_NEWUTS) == 0) escaped("unshare");
	pid_t pid = syscall(SYS_clone, high | CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0) return stopped("clone");
	if (pid == 0) return escaped("a child in a user namespace");
	return waitpid(pid, NULL, 0) < 0;
}
