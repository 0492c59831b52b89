// attempt: kill another process by making it the owner of a pipe
// wall: other processes
// control: without other processes
// proof: target
#include "escape.h"

int main(void) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return stopped("socketpair");
	if (fcntl(pair[0], F_SETSIG, SIGKILL) < 0) return stopped("F_SETSIG");
	if (fcntl(pair[0], F_SETOWN, number("VICTIM_PID")) < 0) return stopped("F_SETOWN");
	if (fcntl(pair[0], F_SETFL, O_ASYNC) < 0) return stopped("O_ASYNC");
	if (write(pair[1], "x", 1) != 1) return stopped("write");
	printf("written\n");
	return 0;
}
