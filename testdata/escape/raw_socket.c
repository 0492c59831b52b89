// attempt: open a socket below TCP and UDP
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"
#include <netinet/in.h>

int main(void) {
	if (socket(AF_INET, SOCK_RAW, IPPROTO_RAW) >= 0) return escaped("raw");
	if (root_of_namespaces(CLONE_NEWNET) < 0) stopped("unshare");
	if (socket(AF_INET, SOCK_RAW, IPPROTO_RAW) < 0 && socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6) < 0) return stopped("socket");
	return escaped("raw in a namespace");
}
