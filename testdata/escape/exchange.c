// attempt: exchange a file of a read-only view for one of its own
// wall: files
// control: one view
// proof: target
#include "escape.h"

int main(void) {
	char own[4096], theirs[4096];
	snprintf(own, sizeof own, "%s/mine.txt", target("ZONE"));
	snprintf(theirs, sizeof theirs, "%s/report.txt", target("UPLOAD"));
	if (close(open(own, O_CREAT | O_WRONLY, 0600)) < 0) return stopped("create");
	if (syscall(SYS_renameat2, AT_FDCWD, own, AT_FDCWD, theirs, 2 /* exchange */) < 0) return stopped("renameat2");
	return escaped("exchanged");
}
