// attempt: count what the processor does
// wall: system calls
// control: without system calls
// proof: word
// needs: /proc/sys/kernel/perf_event_paranoid=2
#include "escape.h"
#include <linux/perf_event.h>

int main(void) {
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1, .exclude_hv = 1};
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0) return stopped("perf_event_open");
	return escaped("counter %d", fd);
}
