// attempt: mount a process table of its own
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	if (root_of_namespaces(CLONE_NEWNS | CLONE_NEWPID) < 0) stopped("unshare");
	pid_t pid = fork();
	if (pid == 0) {
		if (mount("proc", "/tmp", "proc", 0, NULL) < 0) return stopped("mount");
		return access("/tmp/1/status", R_OK) ? stopped("status") : escaped("mounted");
	}
	return waitpid(pid, NULL, 0) < 0;
}
