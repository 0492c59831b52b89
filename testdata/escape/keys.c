// attempt: read a key of the account's, which no namespace keeps
// wall: system calls
// control: without system calls
// proof: secret
// watch: keys
#include "escape.h"

int main(void) {
	char secret[100] = "";
	if (syscall(SYS_keyctl, 11 /* read */, number("KEY"), secret, sizeof secret - 1) < 0) return stopped("keyctl");
	return escaped("%s", secret);
}
