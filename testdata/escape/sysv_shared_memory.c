// attempt: attach shared memory of another by its key
// wall: ipc
// control: without ipc
// proof: secret
#include "escape.h"
#include <sys/shm.h>

int main(void) {
	int id = shmget(number("SHM_KEY"), 0, 0);
	if (id < 0) return stopped("shmget");
	char *at = shmat(id, NULL, SHM_RDONLY);
	if (at == (void *)-1) return stopped("shmat");
	return escaped("%s", at);
}
