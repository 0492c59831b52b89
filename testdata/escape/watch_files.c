// attempt: watch all files of a file system
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"
#include <sys/fanotify.h>

int main(void) {
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
	if (fd < 0) return stopped("fanotify_init");
	return escaped("fanotify %d", fd);
}
