// attempt: become root by the calls that set accounts
// wall: privileges
// control: bare root: only who has been root becomes root again
// control-user: none: only who has been root becomes root again
// proof: word
#include "escape.h"
#include <grp.h>

int main(void) {
	gid_t root = 0;
	if (getuid() == 0 && setresuid(1, 1, 0) < 0) return stopped("leaving root");
	if (setgroups(1, &root) == 0) escaped("in root's group");
	if (setresgid(0, 0, 0) == 0) escaped("root's group");
	if (setresuid(0, 0, 0) < 0 && setreuid(0, 0) < 0 && setuid(0) < 0) return stopped("setuid");
	return escaped("user %d", getuid());
}
