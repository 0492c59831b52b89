// What the attempts in C share. Each is a program of its own.
#ifndef ESCAPE_H
#define ESCAPE_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

// target returns what the environment says of a target.
static inline const char *target(const char *name) {
	const char *value = getenv(name);
	if (!value) {
		printf("there is no target %s\n", name);
		exit(2);
	}
	return value;
}

static inline int number(const char *name) { return atoi(target(name)); }

// escaped says that the attempt succeeded, and how that shows.
static inline int escaped(const char *proof, ...) {
	va_list args;
	va_start(args, proof);
	printf("ESCAPED ");
	vprintf(proof, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
	return 0;
}

// stopped says what stood in the way.
static inline int stopped(const char *at) {
	printf("stopped at %s: %s\n", at, strerror(errno));
	fflush(stdout);
	return 1;
}

static inline int put(const char *path, const char *text) {
	int fd = open(path, O_WRONLY);
	if (fd < 0) return -1;
	int n = write(fd, text, strlen(text));
	close(fd);
	return n == (int)strlen(text) ? 0 : -1;
}

// root_of_namespaces makes the process root in namespaces of its own.
static inline int root_of_namespaces(int flags) {
	char map[64];
	int uid = geteuid(), gid = getegid();
	if (unshare(CLONE_NEWUSER | flags) < 0) return -1;
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "0 %d 1", uid);
	if (put("/proc/self/uid_map", map) < 0) return -1;
	snprintf(map, sizeof map, "0 %d 1", gid);
	return put("/proc/self/gid_map", map);
}

// sibling starts a process that holds a word in its memory and an open file at
// descriptor 9, and waits.
static char held[16] = "nothing";

static inline pid_t sibling(void) {
	int ready[2];
	char c;
	if (pipe(ready) < 0) return -1;
	pid_t pid = fork();
	if (pid == 0) {
		strcpy(held, "held");
		dup2(open("/dev/zero", O_RDONLY), 9);
		c = write(ready[1], "x", 1);
		for (;;) pause();
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &c, 1) != 1) return -1;
	return pid;
}
#endif
