// attempt: empty the audit trail
// wall: files
// control: view data writable
// proof: target
#include "escape.h"

int main(void) {
	char path[4096];
	snprintf(path, sizeof path, "%s/audit.jsonl", target("DATA"));
	if (truncate(path, 0) < 0) return stopped("truncate");
	return escaped("%s is empty", path);
}
