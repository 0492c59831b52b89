// attempt: connect to a bus by the path of its socket
// wall: files
// control: view run
// proof: secret
#include "escape.h"
#include <sys/un.h>

int main(void) {
	struct sockaddr_un bus = {.sun_family = AF_UNIX};
	char secret[100] = "";
	strncpy(bus.sun_path, target("BUS"), sizeof bus.sun_path - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (void *)&bus, sizeof bus) < 0) return stopped("connect");
	if (read(fd, secret, sizeof secret - 1) < 0) return stopped("read");
	return escaped("%s", secret);
}
