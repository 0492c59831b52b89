// attempt: start more threads than it may have processes
// wall: processes
// control: limit processes
// proof: word
// limit: processes
#include "escape.h"
#include <pthread.h>

static void *rest(void *unused) {
	for (;;) pause();
	return unused;
}

int main(void) {
	pthread_t thread;
	for (int i = 0; i < 100; i++) {
		if ((errno = pthread_create(&thread, NULL, rest, NULL))) return stopped("pthread_create");
	}
	return escaped("100 threads");
}
