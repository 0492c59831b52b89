// attempt: read the machine's memory through its files
// wall: files
// control: bare root: the files are root's
// control-user: none: the files are root's
// proof: word
// needs: /proc/kcore
#include "escape.h"

int main(void) {
	const char *files[] = {"/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port"};
	char got[4];
	for (int i = 0; i < 4; i++) {
		int fd = open(files[i], O_RDONLY);
		if (fd >= 0 && read(fd, got, sizeof got) == sizeof got) return escaped("%s", files[i]);
		stopped(files[i]);
	}
	return 1;
}
