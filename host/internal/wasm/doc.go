// Package wasm reads modules and rewrites them into what is compiled: metered,
// bounded, and without the parts that a sandbox has no use for.
//
// Parse reads all of a module but its code, its data and its elements, and
// checks every length and count on the way, so that a start from a cache
// doesn't pay for what it won't compile. Rewrite walks the rest. It checks
// structure, indices and the heights of operands against the module as it was
// given, so that no index can come to mean something that the rewriting added;
// types are left to the runtime's validation.
//
// The package knows the binary format and nothing of what runs it. What a
// module may import and must export is for its callers to say.
package wasm
