// Package engine runs plugins: it admits a WebAssembly module, compiles it,
// and carries out calls of its tools, each in a sandbox of its own.
//
// The package owns the guest's side of the ABI: the memory, the arena, the
// import functions and their pending response, WASI with the fixed table of
// mounts, and the limits of a call. It doesn't know what an operation means or
// who may ask for it: a call brings one Dispatch function, and for each mount a
// file system. It reads no manifest; the caller says which import modules the
// manifest allows.
//
// # Where what is
//
// Admission is in admit.go, and in package wasm, which rewrites. product.go
// makes of a module what its instances share, cache.go keeps that. image.go and
// memory.go are snapshots and what is mapped of them, instance.go is one
// sandbox, plugin.go and session.go say which one serves a call. meter.go and
// budget.go hold the limits; imports.go and wasi.go are what a guest can call,
// mount.go, file.go and fs.go its files.
//
// # What a guest meets
//
// Every call gets an instance that is as the plugin was when its snapshot was
// taken, so nothing is left from an earlier one; under abi.StateSession it gets
// its session's. While _initialize runs, and while the describe export does,
// there are no operations and the mounts are there but closed: what a plugin
// does before its call has to depend on nothing. Random bytes are the host's,
// the clocks are real, there are no arguments, no environment and no input; what
// is printed to stdout and stderr is kept, within a bound, for the Answer.
//
// A guest that hands a pointer outside its memory to an import is trapped.
// Every other failure is a code it can handle, with its detail pending for
// sallyport:call.response until it is fetched or the next sallyport import
// replaces it. A refused file call leaves its typed reason in the same place.
//
// # Bounds
//
// Deadline, cancellation, fuel and the stack reach guest code wherever it is,
// within a fraction of a millisecond of its own work, and every import obeys
// them. Memory and tables are refused to the guest beyond their limits; calls of
// the host and the bytes through them end it. A limit that was reached is named
// in the error.
package engine
