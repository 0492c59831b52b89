/* The guest's side of the Sallyport ABI, version 1. */
#ifndef SALLYPORT_H
#define SALLYPORT_H

#include "json.h"

/* An operation is an imported function, by its name. */
typedef int64_t function(const void *request, uint32_t length, void *response, uint32_t room);

/* operation finds one by the name the specification gives it. */
function *operation(span name);

__attribute__((import_module("sallyport:call"), import_name("response"))) int64_t fetch(void *response, uint32_t room);

/* A frame is a header and a body. */
typedef struct {
	span header, body;
} frame;

void encode(buf *out, span header, span body);
bool decode(span bytes, frame *out);

/* invoke does an operation, with little room for the response at first. It
 * returns 0 and the response, or the code and the error. */
int64_t invoke(const char *name, span header, frame *out);

/* reason fetches the error that is pending, such as that of a file call. */
bool reason(frame *out);

const char *code_name(int64_t code);

#endif
