// attempt: kill everything that the account may kill
// wall: other processes
// control: without other processes
// control-user: none: it would kill the tests as well
// proof: target
#include "escape.h"

int main(void) {
	if (kill(-1, SIGKILL) < 0) return stopped("kill");
	printf("killed\n");
	return 0;
}
