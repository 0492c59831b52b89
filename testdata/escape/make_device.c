// attempt: make a device of the machine's
// wall: privileges
// control: bare root: devices are made by the machine's root
// control-user: none: devices are made by the machine's root
// proof: word
#include "escape.h"
#include <sys/sysmacros.h>

int main(void) {
	char path[4096];
	snprintf(path, sizeof path, "%s/device", target("ZONE"));
	if (mknod(path, S_IFCHR | 0666, makedev(1, 5)) < 0) return stopped("mknod");
	return escaped("made");
}
