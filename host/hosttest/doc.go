// Package hosttest holds what the host's tests share: finding the real parts,
// building plugins, starting a host behind its HTTP door, and the suites that
// concern the whole tree. Only tests import it.
package hosttest
