/* As much JSON as a plugin needs: a reader over text that the host has found
 * valid, and a writer. Nothing is ever freed, because every call has a sandbox
 * of its own. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A span is a piece of somebody's bytes. A value of JSON is the span of its text. */
typedef struct {
	const char *at;
	size_t n;
} span;

/* A buf is bytes that grow. */
typedef struct {
	char *at;
	size_t n, cap;
} buf;

/* member finds a member of an object. */
bool member(span object, const char *name, span *value);

/* element takes the next element off a list; begin with elements(list). */
span elements(span list);
bool element(span *rest, span *value);

/* text appends the characters of a string. */
void text(span string, buf *out);

/* integer reads an integer, or what to take where the member is missing. */
int64_t integer(span object, const char *name, int64_t otherwise);

bool equals(span value, const char *literal);

void put(buf *out, const void *bytes, size_t n);
void put_text(buf *out, const char *text);
void put_span(buf *out, span s);
void put_integer(buf *out, int64_t n);
void put_string(buf *out, span s); /* quoted and escaped */
span all(const buf *b);

#endif
