// Package abi is the contract between a Sallyport host and its plugins,
// version 1: names of exports and imports, the frame codec, messages, error
// codes and the manifest. README.md beside this file is the specification;
// from it an SDK can be written in any language that compiles to WebAssembly.
//
// The package holds vocabulary only. It runs nothing, imports the standard
// library alone, and compiles for the host and for wasip1 alike. All values
// are plain data: safe to copy, and to read from several goroutines as long as
// nobody writes.
package abi
