// Package bench measures the engine, and compares it with two others: Extism's
// Go SDK and knqyf263's go-plugin. It is a module of its own, so that what it
// compares with never becomes what Sallyport depends on. All of it is
// benchmarks; each prints its result as `FIGURE name value`:
//
//	go test -bench . -benchtime 3s -timeout 30m .
//
// Whatever is compared runs in one process, on one version of wazero, in turns;
// a side's time is the median of its calls. The guests are built by the same Go
// with the same flags, into build/bench. Each decodes a small JSON object, adds
// one to a field and encodes it, as its own kit's authors do.
package bench
