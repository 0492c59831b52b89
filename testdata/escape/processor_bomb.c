// attempt: compute for longer than it may
// wall: processor time
// control: limit processor time
// proof: word
// limit: processor time
#include "escape.h"
#include <time.h>

int main(void) {
	signal(SIGXCPU, SIG_IGN);
	while (clock() < 17 * (CLOCKS_PER_SEC / 10)) {
	}
	return escaped("1.7 seconds");
}
