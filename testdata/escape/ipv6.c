// attempt: reach the machine's loopback by its other addresses
// wall: network
// control: without network
// proof: target
// needs: /proc/net/if_inet6
#include "escape.h"
#include <arpa/inet.h>

int main(void) {
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(number("TCP6"))};
	const char *addresses[] = {"::1", "::ffff:127.0.0.1", "::"};
	for (int i = 0; i < 3; i++) {
		char c;
		int fd = socket(AF_INET6, SOCK_STREAM, 0);
		inet_pton(AF_INET6, addresses[i], &to.sin6_addr);
		if (connect(fd, (void *)&to, sizeof to) == 0 && read(fd, &c, 1) == 1) return escaped("%s", addresses[i]);
		stopped(addresses[i]);
	}
	return 1;
}
