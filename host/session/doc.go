// Package session owns what an agent works in: a session's identity, its
// owner, its workspace and the kernels that its plugins started.
//
// A session belongs to the principal that made it, and nobody else finds it,
// operators apart, who list and end sessions. It survives a restart of the host
// with its files; its kernels do not. What runs in a session runs under its
// context and ends with it. Each has a number that no other one has, so that its
// processes can have an account that no other's have.
//
// The package doesn't decide what a plugin may do, and runs no tool: host does
// both, and hands it the function that makes a kernel.
package session
