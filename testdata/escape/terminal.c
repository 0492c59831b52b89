// attempt: write to the host's terminal, and type there
// wall: descriptors
// control: bare terminal: a session of its own is what every child has
// proof: target
// watch: terminal
#include "escape.h"

int main(void) {
	int fd = open("/dev/tty", O_RDWR);
	for (int i = 0; fd < 0 && i < 16; i++) if (isatty(i)) fd = i;
	if (fd < 0) return stopped("/dev/tty");
	if (ioctl(fd, TIOCSTI, "x") < 0) stopped("TIOCSTI");
	if (write(fd, "typed", 5) != 5) return stopped("write");
	return escaped("typed");
}
