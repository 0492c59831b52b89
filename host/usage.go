package host

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// MetaUsage is the _meta key of a result's Usage.
const MetaUsage = "sallyport/usage"

// Usage is what a call took, in the result's _meta under MetaUsage, and in the
// audit log at the call's end, however it ended.
type Usage struct {
	Call string `json:"call"`
	// Sandbox is how the call came by its instance: one that was put back to
	// the snapshot, "reset", a new one of the snapshot, "fork", one initialised
	// for it, "plain", or its session's, "session".
	Sandbox string `json:"sandbox,omitempty"`
	// QueueMS is how long the call waited for its turn, WallMS how long it then
	// took, and GuestMS how much of that was spent in the plugin's own code.
	QueueMS float64 `json:"queue_ms"`
	WallMS  float64 `json:"wall_ms"`
	GuestMS float64 `json:"guest_ms"`
	// What is below is in the units of Limits, where they name none.
	Fuel          int64 `json:"fuel"`
	HostCalls     int64 `json:"host_calls"`
	HostBytes     int64 `json:"host_bytes"`
	OutputBytes   int64 `json:"output_bytes"`
	MemoryBytes   int64 `json:"memory_bytes"` // at its end
	StackBytes    int64 `json:"stack_bytes"`  // the most that was seen
	TableElements int64 `json:"table_elements"`
	// Limits are those that held.
	Limits abi.Limits `json:"limits"`
}

// take takes over what the engine measured.
func (u *Usage) take(e engine.Usage) {
	u.Sandbox = e.Sandbox
	u.WallMS, u.GuestMS = milliseconds(e.Wall), milliseconds(e.Guest)
	u.Fuel, u.HostCalls, u.HostBytes, u.OutputBytes = e.Fuel, e.HostCalls, e.HostBytes, e.OutputBytes
	u.MemoryBytes, u.StackBytes, u.TableElements = e.MemoryBytes, e.StackBytes, e.TableElements
}

// milliseconds keeps microseconds: most calls take less than a millisecond.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// addTo puts u into a result.
func (u *Usage) addTo(r *abi.Result) error {
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if r.Meta == nil {
		r.Meta = map[string]json.RawMessage{}
	}
	r.Meta[MetaUsage] = b
	return nil
}

// detail is u for the audit log, without the limits: those follow from the
// policy.
func (u *Usage) detail() map[string]string {
	ms := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	n := func(n int64) string { return strconv.FormatInt(n, 10) }
	return map[string]string{
		"sandbox": u.Sandbox, "queue_ms": ms(u.QueueMS), "wall_ms": ms(u.WallMS), "guest_ms": ms(u.GuestMS),
		"fuel": n(u.Fuel), "host_calls": n(u.HostCalls), "host_bytes": n(u.HostBytes), "output_bytes": n(u.OutputBytes),
		"memory_bytes": n(u.MemoryBytes), "stack_bytes": n(u.StackBytes), "table_elements": n(u.TableElements),
	}
}
