// attempt: switch off the shuffling of addresses for programs to come
// wall: system calls
// control: without system calls
// proof: word
#include "escape.h"
#include <sys/personality.h>

int main(void) {
	if (personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC) < 0) return stopped("personality");
	return escaped("personality %x", personality(0xffffffff));
}
