// attempt: open a socket that hears every packet
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"
#include <arpa/inet.h>

int main(void) {
	if (root_of_namespaces(CLONE_NEWNET) < 0) stopped("unshare");
	if (socket(17 /* AF_PACKET */, SOCK_RAW, htons(3)) < 0 && socket(17, SOCK_DGRAM | SOCK_NONBLOCK, htons(3)) < 0) return stopped("socket");
	return escaped("packet");
}
