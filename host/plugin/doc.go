// Package plugin is the artifact: one .wasm file with its manifest, and the
// resources of a skill, in custom sections. It owns reading (Read, Parse:
// nothing is run), making (New, Build, Pack) and explaining a plugin (Words,
// Diff), and holds a tool's arguments against its schema (Validate).
//
// It doesn't decide whether a plugin may run, which is policy's, nor run it,
// which is engine's: Build is passed the function that runs describe.
package plugin
