// Command garbage is a plugin without an SDK. It describes itself well, and
// each of its tools answers with another thing that is no answer.
package main

func main() {}
