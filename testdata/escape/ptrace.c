// attempt: trace another process of the account, and write to its memory
// wall: system calls
// control: without system calls
// build: static
// proof: word
#include "escape.h"
#include <sys/ptrace.h>

static int trace(pid_t pid) {
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0) return stopped("ptrace");
	if (waitpid(pid, NULL, __WALL) < 0) return stopped("wait");
	if (ptrace(PTRACE_POKEDATA, pid, held, NULL) < 0) return stopped("poke");
	return escaped("wrote to the memory of %d", pid);
}

int main(void) {
	trace(number("VICTIM_PID"));
	return trace(sibling());
}
