// attempt: add a route to the network
// wall: privileges
// control: without system calls
// proof: word
#include "escape.h"
#include <arpa/inet.h>
#include <linux/rtnetlink.h>

int main(void) {
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
		struct rtattr attr;
		struct in_addr to;
	} ask = {
		{sizeof ask, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, 1, 0},
		{.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_BLACKHOLE},
		{sizeof(struct rtattr) + 4, RTA_DST},
		{htonl(0xc6336401)}, // 198.51.100.1, nobody's
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char room[256];
	} answer;
	if (root_of_namespaces(CLONE_NEWNET) < 0) stopped("unshare"); // a privileged network of its own is one too many
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd < 0) return stopped("socket");
	if (send(fd, &ask, sizeof ask, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0) return stopped("netlink");
	if ((errno = -answer.error.error)) return stopped("route");
	return escaped("there is a route");
}
