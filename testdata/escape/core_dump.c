// attempt: leave a core dump, which may go to a program of the machine's
// wall: core dumps
// control: bare: this limit is always there
// proof: word
#include "escape.h"
#include <sys/resource.h>

int main(void) {
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY}, some = {1 << 20, 1 << 20};
	int status;
	if (setrlimit(RLIMIT_CORE, &all) < 0) stopped("setrlimit");
	if (setrlimit(RLIMIT_CORE, &some) < 0) stopped("setrlimit");
	if (chdir(target("ZONE")) < 0) return stopped("chdir");
	pid_t pid = fork();
	if (pid == 0) abort();
	if (waitpid(pid, &status, 0) < 0) return stopped("wait");
	return WCOREDUMP(status) ? escaped("dumped") : 1;
}
