// Package proc starts the host's child processes, watches them and ends them.
//
// It owns the process group: a child leads a session of its own, and when it
// ends, or is stopped, whatever is left of that session is killed and reaped.
// A child gets the environment, the directory and the descriptors that its
// Spec names and nothing else of the host's, and it is killed when the host
// dies. What a child says to the host, and what its life means, is the
// caller's.
//
// How much stands between a child and the host's account depends on the
// Isolation. Isolated children are started by bubblewrap: with namespaces of
// their own, a read-only system and the folders in their Views, no network but
// the addresses in Listen, two seccomp filters, and, where the host is root, an
// unprivileged account. Control groups bound what they use, or a watcher where
// none can be had. New tries each wall from inside; [Starter.Walls] says, in
// words for an operator, what holds and what doesn't. The package never claims a
// wall that isn't there, and never leaves one out in silence.
//
// A program that imports this package is its own stage: started with a first
// argument of this package's, it does what has to be done inside the walls, and
// nothing of its own (see stage_linux.go).
//
// Making a Starter makes this process the subreaper of its descendants, so that
// orphans of a child are reaped here. Other code in the process may run
// commands of its own, as long as it doesn't put them in a session of their own.
package proc
