// Package strictyaml reads the YAML that people write for Sallyport: the
// policy, plugin.yaml and sallyport.yaml. It owns the strictness and the
// positions: an unknown or doubled key, a value of the wrong shape, a second
// document, an anchor or a tag is an error that names line and column and says
// what belongs there. What the values mean is the caller's.
//
// A value is taken as it is written: 1.10 read into a string is "1.10".
package strictyaml
