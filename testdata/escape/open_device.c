// attempt: open a device that somebody left in a zone
// wall: files
// control: bare: views can't be shown with their devices
// proof: word
// as: root
#include "escape.h"

int main(void) {
	char path[4096];
	snprintf(path, sizeof path, "%s/left-device", target("ZONE"));
	int fd = open(path, O_RDONLY);
	if (fd < 0) return stopped("open");
	return escaped("device %d", fd);
}
