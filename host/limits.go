package host

import (
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// defaultLimits are the most a plugin gets where neither the operator nor the
// host's configuration says otherwise.
func defaultLimits() abi.Limits {
	l := engine.DefaultLimits()
	l.Deadline, l.Concurrent, l.Queue = abi.Duration(15*time.Minute), 32, 128
	return l
}

// raise is the end of a hint on reaching a limit, or one of several.
func raise(names ...string) string {
	return "have the operator raise limits." + strings.Join(names, " or limits.") + " for the plugin in the policy"
}

// mergeLimits takes what the operator set, else what the plugin asks for, else
// the host's default. A plugin can't ask for more than the host's default:
// only the operator raises it.
func mergeLimits(asked, granted, defaults abi.Limits) abi.Limits {
	return abi.Limits{
		MemoryMiB:     limit(asked.MemoryMiB, granted.MemoryMiB, defaults.MemoryMiB),
		TableElements: limit(asked.TableElements, granted.TableElements, defaults.TableElements),
		StackKiB:      limit(asked.StackKiB, granted.StackKiB, defaults.StackKiB),
		Deadline:      limit(asked.Deadline, granted.Deadline, defaults.Deadline),
		Fuel:          limit(asked.Fuel, granted.Fuel, defaults.Fuel),
		HostCalls:     limit(asked.HostCalls, granted.HostCalls, defaults.HostCalls),
		HostBytes:     limit(asked.HostBytes, granted.HostBytes, defaults.HostBytes),
		OutputBytes:   limit(asked.OutputBytes, granted.OutputBytes, defaults.OutputBytes),
		Concurrent:    limit(asked.Concurrent, granted.Concurrent, defaults.Concurrent),
		Queue:         limit(asked.Queue, granted.Queue, defaults.Queue),
	}
}

func limit[N int | int64 | abi.Duration](asked, granted, most N) N {
	switch {
	case granted > 0:
		return granted
	case asked > 0:
		return min(asked, most)
	}
	return most
}
