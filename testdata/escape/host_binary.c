// attempt: write to the programs that started it, as they run or lie open
// wall: descriptors
// control: file program
// proof: target
// listens: yes
#include "escape.h"
#include <dirent.h>

static void attempt(const char *path) {
	int fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0) return;
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) && write(fd, "#", 1) == 1) escaped("%s", path);
	close(fd);
}

int main(void) {
	char path[512];
	DIR *table = opendir("/proc");
	for (struct dirent *e; table && (e = readdir(table));) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9') continue;
		snprintf(path, sizeof path, "/proc/%s/exe", e->d_name);
		attempt(path);
		for (int fd = 0; fd < 64; fd++) {
			snprintf(path, sizeof path, "/proc/%s/fd/%d", e->d_name, fd);
			attempt(path);
		}
	}
	return 1;
}
