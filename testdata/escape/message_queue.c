// attempt: read another's message queue by its name
// wall: ipc
// control: without ipc
// proof: secret
#include "escape.h"
#include <mqueue.h>

int main(void) {
	char secret[8192] = "";
	mqd_t queue = mq_open(target("QUEUE"), O_RDONLY | O_NONBLOCK);
	if (queue < 0) return stopped("mq_open");
	if (mq_receive(queue, secret, sizeof secret, NULL) < 0) return stopped("mq_receive");
	return escaped("%s", secret);
}
