// attempt: read the system's log by the call
// wall: system calls
// control: bare root: most systems keep this call for root
// control-user: none: most systems keep this call for root
// proof: word
#include "escape.h"

int main(void) {
	static char log[1 << 16];
	int n = syscall(SYS_syslog, 3 /* read all */, log, sizeof log - 1);
	if (n <= 0) return stopped("syslog");
	return escaped("%d bytes", n);
}
