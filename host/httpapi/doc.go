// Package httpapi is the HTTP door: routes, tokens and roles, the table from
// error codes to statuses, and streaming. It decides who may ask; what is done
// is host's matter.
//
// Errors are problem documents (RFC 9457). Streams are server-sent events.
// Every request gets an id, in the X-Request-Id header, in the log and in the
// audit log.
package httpapi
