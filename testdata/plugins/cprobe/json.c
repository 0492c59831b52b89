#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static size_t skip_blank(span s, size_t i) {
	while (i < s.n && blank(s.at[i])) i++;
	return i;
}

/* after returns where the value that begins at i ends. */
static size_t after(span s, size_t i) {
	int depth = 0;
	bool quoted = false;
	for (; i < s.n; i++) {
		char c = s.at[i];
		if (quoted) {
			if (c == '\\') i++;
			else if (c == '"') {
				quoted = false;
				if (depth == 0) return i + 1;
			}
			continue;
		}
		switch (c) {
		case '"': quoted = true; break;
		case '{': case '[': depth++; break;
		case '}': case ']':
			if (depth == 0) return i; /* the end of what holds a bare value */
			if (--depth == 0) return i + 1;
			break;
		case ',': case ':':
			if (depth == 0) return i;
			break;
		default:
			if (depth == 0 && blank(c)) return i;
		}
	}
	return i;
}

span elements(span list) { return list.n > 0 ? (span){list.at + 1, list.n - 1} : list; }

bool element(span *rest, span *value) {
	size_t i = skip_blank(*rest, 0);
	if (i < rest->n && rest->at[i] == ',') i = skip_blank(*rest, i + 1);
	if (i >= rest->n || rest->at[i] == ']' || rest->at[i] == '}') return false;
	size_t end = after(*rest, i);
	*value = (span){rest->at + i, end - i};
	*rest = (span){rest->at + end, rest->n - end};
	return true;
}

bool member(span object, const char *name, span *value) {
	span rest = elements(object), key;
	while (element(&rest, &key)) {
		size_t i = skip_blank(rest, 0); /* at the colon */
		rest = (span){rest.at + i + 1, rest.n - i - 1};
		span found;
		if (!element(&rest, &found)) return false;
		if (key.n == strlen(name) + 2 && memcmp(key.at + 1, name, key.n - 2) == 0) {
			*value = found;
			return true;
		}
	}
	return false;
}

bool equals(span value, const char *literal) {
	return value.n == strlen(literal) && memcmp(value.at, literal, value.n) == 0;
}

int64_t integer(span object, const char *name, int64_t otherwise) {
	span v;
	if (!member(object, name, &v)) return otherwise;
	char digits[32] = {0};
	memcpy(digits, v.at, v.n < 31 ? v.n : 31);
	return strtoll(digits, NULL, 10);
}

static uint32_t hex4(const char *at) {
	char digits[5] = {at[0], at[1], at[2], at[3], 0};
	return (uint32_t)strtoul(digits, NULL, 16);
}

static void put_rune(buf *out, uint32_t r) {
	char b[4];
	if (r < 0x80) {
		b[0] = (char)r;
		put(out, b, 1);
	} else if (r < 0x800) {
		b[0] = (char)(0xc0 | r >> 6), b[1] = (char)(0x80 | (r & 0x3f));
		put(out, b, 2);
	} else if (r < 0x10000) {
		b[0] = (char)(0xe0 | r >> 12), b[1] = (char)(0x80 | (r >> 6 & 0x3f)), b[2] = (char)(0x80 | (r & 0x3f));
		put(out, b, 3);
	} else {
		b[0] = (char)(0xf0 | r >> 18), b[1] = (char)(0x80 | (r >> 12 & 0x3f));
		b[2] = (char)(0x80 | (r >> 6 & 0x3f)), b[3] = (char)(0x80 | (r & 0x3f));
		put(out, b, 4);
	}
}

void text(span s, buf *out) {
	if (s.n < 2 || s.at[0] != '"') return;
	for (size_t i = 1; i + 1 < s.n; i++) {
		if (s.at[i] != '\\') {
			put(out, s.at + i, 1);
			continue;
		}
		switch (s.at[++i]) {
		case 'n': put(out, "\n", 1); break;
		case 't': put(out, "\t", 1); break;
		case 'r': put(out, "\r", 1); break;
		case 'b': put(out, "\b", 1); break;
		case 'f': put(out, "\f", 1); break;
		case 'u': {
			uint32_t r = hex4(s.at + i + 1);
			i += 4;
			bool pair = r >= 0xd800 && r < 0xdc00 && i + 6 < s.n && s.at[i + 1] == '\\' && s.at[i + 2] == 'u';
			uint32_t low = pair ? hex4(s.at + i + 3) : 0;
			if (low >= 0xdc00 && low < 0xe000) {
				r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
				i += 6;
			} else if (r >= 0xd800 && r < 0xe000) {
				r = 0xfffd; /* half a pair is no character */
			}
			put_rune(out, r);
			break;
		}
		default: put(out, s.at + i, 1);
		}
	}
}

void put(buf *out, const void *bytes, size_t n) {
	if (out->n + n > out->cap) {
		out->cap = 2 * out->cap + n + 64;
		out->at = realloc(out->at, out->cap);
		if (out->at == NULL) __builtin_trap();
	}
	if (n > 0) memcpy(out->at + out->n, bytes, n);
	out->n += n;
}

void put_text(buf *out, const char *s) { put(out, s, strlen(s)); }
void put_span(buf *out, span s) { put(out, s.at, s.n); }
span all(const buf *b) { return (span){b->at, b->n}; }

void put_integer(buf *out, int64_t n) {
	char digits[24];
	snprintf(digits, sizeof digits, "%lld", (long long)n);
	put_text(out, digits);
}

void put_string(buf *out, span s) {
	put_text(out, "\"");
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.at[i];
		char escaped[8];
		if (c == '"' || c == '\\') {
			put_text(out, "\\");
			put(out, &s.at[i], 1);
		} else if (c < 0x20) {
			snprintf(escaped, sizeof escaped, "\\u%04x", c);
			put_text(out, escaped);
		} else {
			put(out, &s.at[i], 1);
		}
	}
	put_text(out, "\"");
}
