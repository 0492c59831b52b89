// attempt: load a program into the system's kernel
// wall: system calls
// control: bare root: most systems keep this call for root
// control-user: none: most systems keep this call for root
// proof: word
#include "escape.h"
#include <linux/bpf.h>

int main(void) {
	struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER};
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = 2;
	attr.license = (uint64_t)(uintptr_t)"";
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
	if (fd < 0) return stopped("bpf");
	return escaped("program %d", fd);
}
