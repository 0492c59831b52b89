// attempt: make a child in a user namespace by the old clone
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	pid_t pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0) return stopped("clone");
	if (pid == 0) return syscall(SYS_getpid) == 1 ? escaped("process 1") : 1;
	return waitpid(pid, NULL, 0) < 0;
}
