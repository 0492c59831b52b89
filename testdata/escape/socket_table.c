// attempt: list who listens on the machine
// wall: network
// control: without network
// proof: word
#include "escape.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

int main(void) {
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 what;
	} ask = {
		{sizeof ask, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
		{.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << 10 /* listening */},
	};
	static char room[1 << 16];
	int fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
	if (fd < 0) return stopped("socket");
	if (send(fd, &ask, sizeof ask, 0) < 0) return stopped("send");
	for (;;) {
		int n = recv(fd, room, sizeof room, 0);
		if (n <= 0) return stopped("recv");
		for (struct nlmsghdr *m = (void *)room; NLMSG_OK(m, n); m = NLMSG_NEXT(m, n)) {
			if (m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR) return 1;
			struct inet_diag_msg *d = NLMSG_DATA(m);
			if (ntohs(d->id.idiag_sport) == number("TCP")) return escaped("port %d listens", number("TCP"));
		}
	}
}
