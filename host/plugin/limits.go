package plugin

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// A limitPhrase says one limit; no words mean the host's default.
type limitPhrase struct{ name, words string }

// limitPhrases says all limits, in a fixed order: memory and deadline first.
func limitPhrases(l abi.Limits) []limitPhrase {
	deadline := ""
	if l.Deadline != 0 {
		deadline = strictyaml.Brief(l.Deadline)
	}
	return []limitPhrase{
		{"memory", quantity(l.MemoryMiB, " MiB")},
		{"deadline", deadline},
		{"elements of tables", quantity(l.TableElements, "")},
		{"stack", quantity(l.StackKiB, " KiB")},
		{"work", quantity(l.Fuel, " instructions")},
		{"host calls", quantity(l.HostCalls, "")},
		{"data through host calls", quantity(l.HostBytes, " bytes")},
		{"answer", quantity(l.OutputBytes, " bytes")},
		{"calls at once", quantity(l.Concurrent, "")},
		{"calls that wait", quantity(l.Queue, "")},
	}
}

func quantity[N int | int64](n N, unit string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d%s", n, unit)
}

const hostDefault = "the host's default"

func orDefault(words string) string {
	if words == "" {
		return hostDefault
	}
	return words
}

// LimitWords says in a line what limits bound: memory and deadline, and
// whatever else isn't the host's default.
func LimitWords(l abi.Limits) string {
	var parts []string
	for i, p := range limitPhrases(l) {
		if i == 1 {
			p.name = "deadline of a call"
		}
		if i < 2 || p.words != "" {
			parts = append(parts, p.name+": "+orDefault(p.words))
		}
	}
	return strings.Join(parts, "; ")
}

// diffLimits says which limits changed.
func diffLimits(old, new abi.Limits) []string {
	var out []string
	before := limitPhrases(old)
	for i, p := range limitPhrases(new) {
		if was := before[i]; was != p {
			out = append(out, fmt.Sprintf("%s: %s (before: %s)", p.name, orDefault(p.words), orDefault(was.words)))
		}
	}
	return out
}

// StateWords says how long an instance of a plugin lives.
func StateWords(state string) string {
	if state == abi.StateSession {
		return "kept for as long as its session: one call can leave something for the next"
	}
	return "fresh for every call"
}
