// Package kernel runs code in Jupyter kernels.
//
// It owns one kernel process for each [Kernel]: its start, its private folder,
// the conversation with it over ZeroMQ, the bounds of what it prints, and its
// end. It is plain Go: it knows its folders only as views it is told to show,
// and has never heard of plugins, sessions or HTTP.
//
// A Kernel outlives its processes. The first execution starts one; when it
// dies, the next execution starts another and its response says in StateLost
// that the variables are gone, why and since when. Nothing waits without a
// bound: not a start, an execution, an interrupt or an end.
package kernel
