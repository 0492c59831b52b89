package host

import (
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// defaultLimits are the most a plugin gets where neither the operator nor the
// host's configuration says otherwise.
func defaultLimits() abi.Limits {
	return abi.Limits{
		MemoryMiB:     512,
		TableElements: 131_072,
		StackKiB:      8192,
		Deadline:      abi.Duration(15 * time.Minute),
		Fuel:          1e12,
		HostCalls:     1_000_000,
		HostBytes:     4 << 30,
		OutputBytes:   16 << 20,
		Concurrent:    32,
		Queue:         128,
	}
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
