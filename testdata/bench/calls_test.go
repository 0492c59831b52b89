package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// timed is their deadline, in milliseconds.
const timed = uint64(deadline / 1e6)

// BenchmarkFresh compares calls whose sandbox nobody used before. Extism's has
// no timeout, which it would be slower with; ours has every limit.
func BenchmarkFresh(b *testing.B) {
	m := compare(b,
		side{"extism", 5, freshExtism(b, 0)},
		side{"ours", 50, ours(b, engine.Options{}).add},
	)
	figure("engine/fresh-vs-extism", m[0]/m[1])
}

// BenchmarkWarm compares calls under a deadline: theirs in an instance that
// keeps what earlier calls left, ours in a session's that does so as well, and
// ours from a clean snapshot.
func BenchmarkWarm(b *testing.B) {
	m := compare(b,
		side{"extism", 50, warmExtism(b, timed, "add", object, incremented)},
		side{"goplugin", 50, warmGoPlugin(b, true)},
		side{"ours-session", 50, ours(b, engine.Options{State: abi.StateSession}).add},
		side{"ours-clean", 50, ours(b, engine.Options{}).add},
		// What no figure is made of: theirs when nothing can stop a guest.
		side{"extism-endless", 50, warmExtism(b, 0, "add", object, incremented)},
		side{"goplugin-endless", 50, warmGoPlugin(b, false)},
	)
	figure("engine/warm-vs-extism", m[0]/m[2])
	figure("engine/clean-vs-their-warm", m[0]/m[3])
	figure("engine/warm-vs-goplugin", m[1]/m[2])
}

// BenchmarkBytes64k sends 64 KiB of text there and back, as authors of each
// kit do: Extism's guest takes and gives bytes, ours a string in its arguments
// and a block of text.
func BenchmarkBytes64k(b *testing.B) {
	text := strings.Repeat("Sixty-four bytes of plain text, as a page or a log is full of. \n", 1<<10)
	arguments, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		b.Fatal(err)
	}
	echo := func(p plugin) func() error {
		return func() error {
			r, err := p.call(context.Background(), toolEcho, string(arguments))
			if err != nil {
				return err
			}
			return same(r.Content[0].Text, text)
		}
	}
	session := ours(b, engine.Options{State: abi.StateSession})
	frame, err := frameOf(toolEcho, string(arguments))
	if err != nil {
		b.Fatal(err)
	}
	m := compare(b,
		side{"extism", 5, warmExtism(b, timed, "echo", text, text)},
		side{"ours-session", 5, echo(session)},
		side{"ours-clean", 5, echo(ours(b, engine.Options{}))},
		// Without the host's reading and writing of JSON.
		side{"ours-frames", 5, func() error {
			_, err := session.Call(context.Background(), engine.Call{Tool: toolEcho, Request: frame, Session: session.session})
			return err
		}},
	)
	figure("engine/bytes64k-vs-extism", m[0]/m[1])
}

// BenchmarkMeter compares the engine with itself, without the counting of work.
func BenchmarkMeter(b *testing.B) {
	metered := ours(b, engine.Options{State: abi.StateSession})
	unmetered := ours(b, engine.Options{State: abi.StateSession, Unmetered: true})
	b.Run("json", func(b *testing.B) {
		m := compare(b, side{"metered", 50, metered.add}, side{"unmetered", 50, unmetered.add})
		figure("engine/meter-cost", m[0]/m[1])
	})
	b.Run("spin", func(b *testing.B) {
		spin := func(p plugin) func() error {
			return func() error {
				_, err := p.call(context.Background(), toolSpin, fmt.Sprintf(`{"turns":%d}`, 1_000_000))
				return err
			}
		}
		m := compare(b, side{"metered", 3, spin(metered)}, side{"unmetered", 3, spin(unmetered)})
		figure("engine/meter-cost-spin", m[0]/m[1])
	})
}

// BenchmarkCleanNoop is a call that does nothing, from a clean snapshot: what a
// sandbox costs.
func BenchmarkCleanNoop(b *testing.B) {
	p := ours(b, engine.Options{})
	m := compare(b, side{"ours", 50, func() error {
		_, err := p.call(context.Background(), toolNothing, `{}`)
		return err
	}})
	figure("engine/clean-noop-us", m[0]*1e6)
}
