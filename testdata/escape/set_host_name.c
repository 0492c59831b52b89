// attempt: give the machine another name
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"

int main(void) {
	if (root_of_namespaces(CLONE_NEWUTS) < 0) stopped("unshare");
	if (sethostname("escaped", 7) < 0) return stopped("sethostname");
	return escaped("named");
}
