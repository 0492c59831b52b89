#include "sallyport.h"

#include <stdlib.h>
#include <string.h>

#define IMPORT(module, name) __attribute__((import_module("sallyport:" module), import_name(name)))

IMPORT("call", "log") function call_log;
IMPORT("call", "progress") function call_progress;
IMPORT("call", "config") function call_config;
IMPORT("call", "wait") function call_wait;
IMPORT("call", "cancel") function call_cancel;
IMPORT("kernel", "execute") function kernel_execute;
IMPORT("kernel", "interrupt") function kernel_interrupt;
IMPORT("kernel", "reset") function kernel_reset;
IMPORT("kernel", "status") function kernel_status;
IMPORT("http", "fetch") function http_fetch;
IMPORT("http", "read") function http_read;
IMPORT("http", "close") function http_close;
IMPORT("tool", "call") function tool_call;

static const struct {
	const char *name;
	function *call;
} operations[] = {
	{"call.log", call_log},
	{"call.progress", call_progress},
	{"call.config", call_config},
	{"call.wait", call_wait},
	{"call.cancel", call_cancel},
	{"kernel.execute", kernel_execute},
	{"kernel.interrupt", kernel_interrupt},
	{"kernel.reset", kernel_reset},
	{"kernel.status", kernel_status},
	{"http.fetch", http_fetch},
	{"http.read", http_read},
	{"http.close", http_close},
	{"tool.call", tool_call},
};

static const char *const codes[] = {
	"internal", "invalid_argument", "permission_denied", "not_found", "already_exists",
	"failed_precondition", "resource_exhausted", "deadline_exceeded", "canceled", "unavailable",
	"unimplemented", "state_lost", "unauthenticated", "plugin_failed",
};

const char *code_name(int64_t code) {
	int64_t n = (int64_t)(sizeof codes / sizeof *codes);
	return code < 0 && code >= -n ? codes[-1 - code] : codes[0];
}

function *operation(span name) {
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (equals(name, operations[i].name)) return operations[i].call;
	return NULL;
}

void encode(buf *out, span header, span body) {
	uint32_t n = (uint32_t)header.n;
	unsigned char length[4] = {(unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16), (unsigned char)(n >> 24)};
	put(out, length, sizeof length);
	put_span(out, header);
	put_span(out, body);
}

bool decode(span bytes, frame *out) {
	if (bytes.n < 4) return false;
	const unsigned char *at = (const unsigned char *)bytes.at;
	uint32_t n = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
	if (n > bytes.n - 4 || n == 0 || bytes.at[4] != '{') return false;
	out->header = (span){bytes.at + 4, n};
	out->body = (span){bytes.at + 4 + n, bytes.n - 4 - n};
	return true;
}

/* pending fetches what is pending, however long it is. */
static bool pending(frame *out) {
	uint32_t room = 64;
	for (;;) {
		char *at = malloc(room);
		int64_t n = fetch(at, room);
		if (n < 0) return false;
		if (n <= room) return decode((span){at, (size_t)n}, out);
		room = (uint32_t)n;
	}
}

bool reason(frame *out) { return pending(out); }

int64_t invoke(const char *name, span header, frame *out) {
	function *call = operation((span){name, strlen(name)});
	if (call == NULL) return -11;
	buf request = {0};
	encode(&request, header, (span){0});
	char *room = malloc(16);
	int64_t n = call(request.at, (uint32_t)request.n, room, 16);
	bool ok = n >= 0 && n <= 16 ? decode((span){room, (size_t)n}, out) : pending(out);
	if (n < 0) return n;
	return ok ? 0 : -1;
}
