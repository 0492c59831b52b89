// attempt: fill a zone beyond its quota, and take back the limit that keeps it from writing
// wall: disk
// control: limit disk
// proof: word
// limit: disk
#include "escape.h"
#include <sys/resource.h>

int main(void) {
	char path[4096];
	signal(SIGXFSZ, SIG_IGN);
	for (int i = 0; i < 40; i++) {
		struct rlimit limit;
		if (getrlimit(RLIMIT_FSIZE, &limit) < 0) return stopped("getrlimit");
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_FSIZE, &limit) < 0) return stopped("setrlimit");
		snprintf(path, sizeof path, "%s/bomb-%d", target("ZONE"), i);
		int fd = open(path, O_CREAT | O_WRONLY, 0600);
		if (fd < 0 || fallocate(fd, 0, 0, 8 << 20) < 0) return stopped("fallocate");
		close(fd);
		usleep(50000);
	}
	return escaped("320 MiB");
}
