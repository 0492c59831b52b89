// Package policy is the operator's word: which plugins may run, and what each
// may do. It owns the policy file's format (Parse, Encode), the first gate
// (Admit: is this file's digest on the list?) and the second (Check: was this
// operation granted?), and says why it refuses and what would help.
//
// It is pure: no file, clock or network is touched, and nothing is kept between
// calls. Who reads the file, asks the questions and carries out the answers is
// elsewhere.
package policy
