// Package wire reads and writes JSON as frames carry it, several times faster
// than encoding/json does in a sandbox. It takes what is ordinary: a Reader that
// meets anything else, malformed or merely unusual, fails without saying why,
// and its caller turns to encoding/json, which has the last word.
//
// What it does take it reads as encoding/json does, and what it writes are the
// same bytes, with <, > and & left readable.
package wire
