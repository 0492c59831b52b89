// attempt: enter the namespaces of another process
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	char path[64], c;
	int ready[2];
	const char *of[] = {"/proc/1/ns/user", "/proc/self/ns/user", "", ""};
	char victim[64];
	snprintf(victim, sizeof victim, "/proc/%s/ns/user", target("VICTIM_PID"));
	of[2] = victim;
	if (pipe(ready) < 0) return stopped("pipe");
	pid_t pid = fork();
	if (pid == 0) {
		if (root_of_namespaces(0) < 0) stopped("unshare");
		if (write(ready[1], "x", 1) != 1) return 1;
		for (;;) pause();
	}
	if (read(ready[0], &c, 1) != 1) return stopped("read");
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	of[3] = path;
	for (int i = 0; i < 4; i++) {
		if (setns(open(of[i], O_RDONLY), CLONE_NEWUSER) == 0) return escaped("entered %s", of[i]);
		stopped(of[i]);
	}
	return 1;
}
