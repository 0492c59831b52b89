// attempt: give itself every capability, and keep them for programs to come
// wall: privileges
// control: bare root: capabilities that are not there can't be raised
// control-user: none: capabilities that are not there can't be raised
// proof: word
#include "escape.h"
#include <linux/capability.h>
#include <sys/prctl.h>

int main(void) {
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN}};
	if (syscall(SYS_capset, &header, data) < 0) return stopped("capset");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) < 0) return stopped("ambient");
	return escaped("SYS_ADMIN");
}
