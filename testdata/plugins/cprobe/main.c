/* A plugin in C, written from abi/README.md. Its tools try the ABI out: trace
 * does what a trace vector says and tells what it got. */
#include "sallyport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define LITERAL(s) ((span){s, sizeof(s) - 1})

/* answer joins a pointer and a length as the exports return them. */
static uint64_t answer(const buf *b) { return (uint64_t)(uintptr_t)b->at << 32 | (uint32_t)b->n; }

static uint64_t answer_frame(const buf *header, span body) {
	static buf out;
	encode(&out, all(header), body);
	return answer(&out);
}

static uint64_t answer_text(span s, bool is_error) {
	buf header = {0};
	put_text(&header, "{\"result\":{\"content\":[{\"type\":\"text\",\"text\":");
	put_string(&header, s);
	put_text(&header, is_error ? "}],\"isError\":true}}" : "}]}}");
	return answer_frame(&header, (span){0});
}

/* answer_error passes an error of the host's on, as it is. */
static uint64_t answer_error(span error) {
	buf header = {0};
	put_text(&header, "{\"error\":");
	put_span(&header, error);
	put_text(&header, "}");
	return answer_frame(&header, (span){0});
}

static uint64_t answer_failure(const char *code, const char *message) {
	buf error = {0};
	put_text(&error, "{\"code\":");
	put_string(&error, (span){code, strlen(code)});
	put_text(&error, ",\"message\":");
	put_string(&error, (span){message, strlen(message)});
	put_text(&error, "}");
	return answer_error(all(&error));
}

/* echo returns its arguments as text. */
static uint64_t echo(span arguments) { return answer_text(arguments, false); }

/* execute runs code and returns its outputs: text as text, images as images. */
static uint64_t execute(span arguments) {
	span code = LITERAL("\"\""), outputs, output, v;
	member(arguments, "code", &code);
	buf request = {0};
	put_text(&request, "{\"code\":");
	put_span(&request, code);
	put_text(&request, "}");
	frame got = {0};
	if (invoke("kernel.execute", all(&request), &got) < 0) return answer_error(got.header);

	buf printed = {0}, images = {0};
	if (member(got.header, "outputs", &outputs)) {
		for (span rest = elements(outputs); element(&rest, &output);) {
			span data, blobs, blob;
			if (member(output, "text", &v)) text(v, &printed);
			if (member(output, "data", &data) && member(data, "text/plain", &v)) text(v, &printed);
			if (!member(output, "blobs", &blobs)) continue;
			for (span more = elements(blobs); element(&more, &blob);) {
				member(blob, "mimeType", &v);
				put_text(&images, ",{\"type\":\"image\",\"mimeType\":");
				put_span(&images, v);
				put_text(&images, ",\"body\":{\"offset\":");
				put_integer(&images, integer(blob, "offset", 0));
				put_text(&images, ",\"length\":");
				put_integer(&images, integer(blob, "length", 0));
				put_text(&images, "}}");
			}
		}
	}
	buf header = {0};
	put_text(&header, "{\"result\":{\"content\":[{\"type\":\"text\",\"text\":");
	put_string(&header, all(&printed));
	put_text(&header, "}");
	put_span(&header, all(&images));
	put_text(&header, "]}}");
	return answer_frame(&header, got.body); /* the ranges are those of the kernel's body */
}

/* on_file writes, adds to, reads or removes a file and returns the line that
 * says what came of it. */
static void on_file(span op, const char *path, span content, buf *out) {
	errno = 0;
	long n = -1;
	buf read = {0};
	if (equals(op, "file.remove")) {
		n = remove(path) == 0 ? 0 : -1;
	} else {
		bool reading = equals(op, "file.read");
		FILE *f = fopen(path, reading ? "r" : equals(op, "file.append") ? "a" : "w");
		if (f != NULL) {
			char part[256];
			if (reading) {
				for (size_t k; (k = fread(part, 1, sizeof part, f)) > 0;) put(&read, part, k);
				n = (long)read.n;
			} else {
				n = (long)fwrite(content.at, 1, content.n, f);
			}
			if (ferror(f)) n = -1;
			if (fclose(f) != 0) n = -1;
		}
	}
	if (n < 0) {
		put_text(out, "errno ");
		put_integer(out, errno);
		return;
	}
	put_integer(out, n);
	put_text(out, " bytes");
	if (read.n > 0) {
		put_text(out, " ");
		put_span(out, all(&read));
	}
}

/* file writes /output/x, and says why where it can't. */
static uint64_t file(span arguments) {
	span v;
	buf content = {0}, line = {0};
	if (member(arguments, "text", &v)) text(v, &content);
	on_file(LITERAL("file.write"), "/output/x", all(&content), &line);
	frame why = {0};
	if (strncmp(line.at, "errno", 5) == 0) {
		if (reason(&why)) return answer_error(why.header);
		return answer_failure("internal", "a file call failed and the host doesn't say why");
	}
	return answer_text(all(&line), false);
}

/* report logs a line, reports progress and returns the configuration. */
static uint64_t report(span arguments) {
	(void)arguments;
	frame got = {0};
	if (invoke("call.log", LITERAL("{\"level\":\"info\",\"message\":\"from C\",\"fields\":{\"n\":1}}"), &got) < 0)
		return answer_error(got.header);
	if (invoke("call.progress", LITERAL("{\"progress\":1,\"total\":2,\"message\":\"half\"}"), &got) < 0)
		return answer_error(got.header);
	if (invoke("call.config", LITERAL("{}"), &got) < 0) return answer_error(got.header);
	return answer_text(got.header, false);
}

static void from_hex(span string, buf *out) {
	for (size_t i = 1; i + 2 < string.n; i += 2) {
		char digits[3] = {string.at[i], string.at[i + 1], 0};
		char b = (char)strtoul(digits, NULL, 16);
		put(out, &b, 1);
	}
}

static void to_hex(span bytes, buf *out) {
	for (size_t i = 0; i < bytes.n; i++) {
		char digits[3];
		snprintf(digits, sizeof digits, "%02x", (unsigned char)bytes.at[i]);
		put_text(out, digits);
	}
}

/* step does one line of a trace. */
static void step(span s, buf *out) {
	span v;
	buf op = {0}, request = {0}, body = {0};
	if (member(s, "op", &v)) text(v, &op);
	put(&op, "", 1), op.n--; /* text for C */
	if (strncmp(op.at, "file.", 5) == 0) {
		buf path = {0}, content = {0};
		if (member(s, "path", &v)) text(v, &path);
		put(&path, "", 1);
		if (member(s, "text", &v)) text(v, &content);
		on_file(all(&op), path.at, all(&content), out);
		return;
	}
	uint32_t room = (uint32_t)integer(s, "cap", 0);
	unsigned char *at = malloc(room + 1);
	memset(at, 0xaa, room);
	int64_t n;
	if (equals(all(&op), "call.response")) {
		n = fetch(at, room);
	} else {
		if (member(s, "body", &v)) from_hex(v, &body);
		if (member(s, "frame", &v)) from_hex(v, &request);
		else if (member(s, "request", &v)) encode(&request, v, all(&body));
		function *call = operation(all(&op));
		if (call == NULL) {
			put_text(out, "no such import");
			return;
		}
		void *place = (void *)(uintptr_t)integer(s, "at", (int64_t)(uintptr_t)at);
		n = call(request.at, (uint32_t)request.n, place, room);
	}
	put_integer(out, n);
	if (n < 0 || n > room) {
		for (uint32_t i = 0; i < room; i++)
			if (at[i] != 0xaa) put_text(out, " touched");
		put_text(out, " (");
		put_text(out, n < 0 ? code_name(n) : "pending");
		put_text(out, ")");
		return;
	}
	frame got;
	if (!decode((span){(char *)at, (size_t)n}, &got)) {
		put_text(out, " no frame");
		return;
	}
	put_text(out, " ");
	put_span(out, got.header);
	if (got.body.n > 0) {
		put_text(out, " body=");
		to_hex(got.body, out);
	}
}

/* trace does steps, and returns a line for each. */
static uint64_t trace(span arguments) {
	span steps, s;
	buf lines = {0};
	if (member(arguments, "steps", &steps)) {
		for (span rest = elements(steps); element(&rest, &s);) {
			put_text(&lines, "<== ");
			step(s, &lines);
			put_text(&lines, "\n");
		}
	}
	return answer_text(all(&lines), false);
}

/* The tools, in the manifest's order. */
static uint64_t (*const tools[])(span) = {echo, execute, file, report, trace};

#define SCHEMA(properties) "\"inputSchema\":{\"type\":\"object\",\"properties\":{" properties "}}"

static const char description[] =
	"{\"abi\":1,\"tools\":["
	"{\"name\":\"echo\",\"description\":\"return the arguments as text\"," SCHEMA("") "},"
	"{\"name\":\"execute\",\"description\":\"run code in the Python kernel\"," SCHEMA("\"code\":{\"type\":\"string\"}") "},"
	"{\"name\":\"file\",\"description\":\"write /output/x\"," SCHEMA("\"text\":{\"type\":\"string\"}") "},"
	"{\"name\":\"report\",\"description\":\"log, report progress, return the configuration\"," SCHEMA("") "},"
	"{\"name\":\"trace\",\"description\":\"do what a trace vector says\"," SCHEMA("\"steps\":{\"type\":\"array\"}") "}"
	"]}";

static char *arena;

EXPORT("sallyport_v1_arena") void *sallyport_arena(uint32_t n) {
	arena = realloc(arena, n);
	if (arena == NULL) __builtin_trap();
	return arena;
}

EXPORT("sallyport_v1_describe") uint64_t sallyport_describe(void) {
	static buf out;
	out.n = 0;
	encode(&out, LITERAL(description), (span){0});
	return answer(&out);
}

EXPORT("sallyport_v1_call") uint64_t sallyport_call(uint32_t tool, uint32_t n) {
	frame request;
	span arguments;
	if (!decode((span){arena, n}, &request) || !member(request.header, "arguments", &arguments))
		return answer_failure("invalid_argument", "the request is no frame, or has no arguments");
	if (tool >= sizeof tools / sizeof *tools) return answer_failure("not_found", "there is no such tool");
	return tools[tool](arguments);
}
