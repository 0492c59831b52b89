// attempt: read the memory of another process of the account
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"
#include <sys/uio.h>

int main(void) {
	pid_t pid = sibling();
	char got[sizeof held] = "";
	struct iovec here = {got, sizeof got}, there = {held, sizeof held};
	if (process_vm_readv(pid, &here, 1, &there, 1, 0) < 0) return stopped("process_vm_readv");
	return strcmp(got, "held") ? 1 : escaped("process %d has the word %s", pid, got);
}
