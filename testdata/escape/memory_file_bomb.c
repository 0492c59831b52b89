// attempt: take more memory than it may, in a file without a name
// wall: memory
// control: limit memory
// proof: word
// limit: memory
#include "escape.h"

int main(void) {
	static char some[1 << 20];
	memset(some, 1, sizeof some);
	int fd = memfd_create("bomb", 0);
	if (fd < 0) return stopped("memfd_create");
	for (int i = 0; i < 150; i++) {
		if (write(fd, some, sizeof some) != sizeof some) return stopped("write");
		usleep(10000);
	}
	return escaped("150 MiB");
}
