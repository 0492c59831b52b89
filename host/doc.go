// Package host wires Sallyport together: it is the only place that knows every
// part. New makes a Host from a Config: the data directory, the audit log, the
// sessions, the engine and the catalog of plugins. The doors (package httpapi,
// the command line) stand in front of it.
//
// A tool call passes two gates here. The catalog admits a plugin only when its
// file's digest is on the operator's whitelist; the bridge lets an operation
// through only when the plugin was granted it. Between them it waits for its
// turn, among the calls of its plugin and then among all. A version of a plugin
// that is replaced goes on with the calls that it has, unless something was
// taken away.
package host
