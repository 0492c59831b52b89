// attempt: make a child in a user namespace by clone3, whose flags a filter can't see
// wall: system calls
// control: without system calls
// build: static
// proof: word
#include "escape.h"

int main(void) {
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} args = {.flags = CLONE_NEWUSER | CLONE_NEWNS, .exit_signal = SIGCHLD};
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid < 0) return stopped("clone3");
	if (pid == 0) return escaped("a child in namespaces of its own");
	return waitpid(pid, NULL, 0) < 0;
}
