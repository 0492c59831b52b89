// Package engine runs plugins: it admits a WebAssembly module, compiles it,
// and carries out calls of its tools, each in a sandbox of its own.
//
// The package owns the guest's side of the ABI: the memory, the arena, the
// import functions and their pending response, WASI with the fixed table of
// mounts, and the bounds of a call (memory, deadline, open files, captured
// output). It doesn't know what an operation means or who may ask for it: a
// call brings one Dispatch function, and for each mount a file system. It reads
// no manifest; the caller says which import modules the manifest allows.
//
// # What a guest meets
//
// Every call gets a fresh instance, so nothing is left from an earlier one.
// While _initialize runs, and while the describe export does, there are no
// operations and the mounts are there but closed: what a plugin does before
// its call has to depend on nothing. Random bytes are the host's, the clocks
// are real, there are no arguments, no environment and no input; what is
// printed to stdout and stderr is kept, within a bound, for the Answer.
//
// A guest that hands a pointer outside its memory to an import is trapped.
// Every other failure is a code it can handle, with its detail pending for
// sallyport:call.response until it is fetched or the next sallyport import
// replaces it. A refused file call leaves its typed reason in the same place.
//
// # Bounds, and what they don't hold yet
//
// Deadlines and cancellation reach guest code at the back-edges of its loops,
// at the entry of every function that calls others, and at every import. One
// long instruction, such as memory.fill, is waited for.
//
// A module's size is bounded, and that of its functions; the time it takes to
// compile them is not. The compiler's grows with the square of the blocks in a
// function: 100 kB of nested blocks take it seconds, and nothing interrupts it.
package engine
