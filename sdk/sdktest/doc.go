// Package sdktest runs a plugin's tools natively, against a host in memory, for
// their authors' unit tests. A call goes the whole way that it goes in a
// sandbox: arguments are checked and decoded, the result is written as a frame
// and read back.
//
// It fakes capabilities with functions and handlers of the test's, and records
// what a tool logs, reports and streams. It decides nothing about grants, and
// file calls are the operating system's on a temporary directory, where zones
// have no rules: Refuse makes a path fail as a host would, and RefuseHost a
// request.
package sdktest
