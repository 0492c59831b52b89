// attempt: open more files than it may
// wall: open files
// control: limit open files
// proof: word
// limit: open files
#include "escape.h"
#include <sys/resource.h>

int main(void) {
	struct rlimit more = {4096, 4096};
	if (setrlimit(RLIMIT_NOFILE, &more) < 0) stopped("setrlimit");
	for (int i = 0; i < 100; i++) {
		if (dup(0) < 0) return stopped("dup");
	}
	return escaped("100 files");
}
