package engine_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

var update = flag.Bool("update", false, "write the hostile modules anew")

const hostileDir = "../../../testdata/hostile"

// A hostile is a module that attacks one limit or rule, and what its first
// comment says of it; the README beside the modules has the words.
type hostile struct {
	name     string
	attacks  string
	wasm     []byte
	flags    []string // of wat2wasm
	edits    []edit   // of what wat2wasm makes
	grown    int      // how many times what is repeated is repeated when it runs
	trials   []trial
	controls []control
}

// A trial is one attempt, and what has to come of it.
type trial struct {
	circumstances
	gets  string
	says  string // in the error's message
	after string // what the plugin's next call gets
}

// A control is the harm that is done without the limit or the rule.
type control struct {
	circumstances
	raw   bool   // in a runtime with nothing of ours
	enter string // what is entered: call, arena, describe, or nothing but a new instance
	twice bool   // the next call in the same instance counts
	edits []edit
	gets  string
}

// Circumstances are those of a call.
type circumstances struct {
	limits   abi.Limits
	cancel   time.Duration
	describe time.Duration // describes the plugin in that time in place of calling it
	modules  []string
	dispatch string // blocks, or how many bytes operations answer with
	files    bool   // /output is there, with a file in it
	tool     uint32
}

// hostiles reads the corpus.
func hostiles(t testing.TB) []*hostile {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(hostileDir, "*.wat"))
	if err != nil {
		t.Fatal(err)
	}
	var list []*hostile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseHostile(strings.TrimSuffix(filepath.Base(path), ".wat"), string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if h.wasm, err = os.ReadFile(strings.TrimSuffix(path, ".wat") + ".wasm"); err != nil && !*update {
			t.Fatal(err)
		}
		list = append(list, h)
	}
	return list
}

func parseHostile(name, text string) (*hostile, error) {
	h := &hostile{name: name, grown: 1}
	for line := range strings.Lines(text) {
		line, comment := strings.CutPrefix(strings.TrimSpace(line), ";; ")
		if !comment {
			break
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if err := h.parse(key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	if h.attacks == "" || len(h.trials) == 0 || len(h.controls) == 0 {
		return nil, fmt.Errorf("a module says what it attacks, what it gets, and what it does without")
	}
	for _, r := range h.trials {
		if r.gets == "" {
			return nil, fmt.Errorf("a trial doesn't say what it gets")
		}
	}
	return h, nil
}

func (h *hostile) parse(key, value string) (err error) {
	if slices.Contains([]string{"gets", "says", "after"}, key) && len(h.trials) == 0 {
		h.trials = append(h.trials, trial{})
	}
	last := len(h.trials) - 1
	switch key {
	case "attacks":
		h.attacks = value
	case "wat2wasm":
		h.flags = strings.Fields(value)
	case "bytes":
		e, err := parseEdit(value)
		h.edits = append(h.edits, e)
		return err
	case "grown":
		h.grown, err = strconv.Atoi(value)
	case "with":
		var r trial
		err = r.parse(value)
		h.trials = append(h.trials, r)
	case "gets":
		h.trials[last].gets = value
	case "says":
		h.trials[last].says = value
	case "after":
		h.trials[last].after = value
	case "control":
		c := control{enter: "call"}
		clauses, gets, ok := strings.Cut(value, ": ")
		if !ok {
			return fmt.Errorf("it has no outcome")
		}
		c.gets = gets
		for clause := range strings.SplitSeq(clauses, ", ") {
			if err := c.parseClause(clause); err != nil {
				return err
			}
		}
		h.controls = append(h.controls, c)
	default:
		return fmt.Errorf("there is no word %q", key)
	}
	return err
}

func (c *control) parseClause(clause string) error {
	word, rest, _ := strings.Cut(clause, " ")
	switch word {
	case "raw":
		c.raw = true
	case "twice":
		c.twice = true
	case "arena", "describe", "instance":
		c.enter = word
	case "with":
		return c.circumstances.parse(rest)
	case "bytes":
		e, err := parseEdit(rest)
		c.edits = append(c.edits, e)
		return err
	default:
		return fmt.Errorf("there is no clause %q", clause)
	}
	return nil
}

func (c *circumstances) parse(text string) error {
	if text == "nothing" {
		return nil
	}
	for word := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(word, "=")
		var number int64
		var length time.Duration
		var err error
		switch key {
		case "deadline", "cancel", "describe":
			length, err = time.ParseDuration(value)
		case "modules", "dispatch", "files":
		default:
			number, err = strconv.ParseInt(value, 0, 64)
		}
		if err != nil {
			return err
		}
		switch key {
		case "deadline":
			c.limits.Deadline = abi.Duration(length)
		case "cancel":
			c.cancel = length
		case "describe":
			c.describe = length
		case "modules":
			c.modules = strings.Split(value, ",")
		case "dispatch":
			c.dispatch = value
		case "files":
			c.files = true
		case "tool":
			c.tool = uint32(number)
		case "memory_mib":
			c.limits.MemoryMiB = int(number)
		case "table_elements":
			c.limits.TableElements = int(number)
		case "stack_kib":
			c.limits.StackKiB = int(number)
		case "fuel":
			c.limits.Fuel = number
		case "host_calls":
			c.limits.HostCalls = number
		case "host_bytes":
			c.limits.HostBytes = number
		case "output_bytes":
			c.limits.OutputBytes = number
		default:
			return fmt.Errorf("there is no circumstance %q", word)
		}
	}
	return nil
}

// An edit changes one section of a binary: bytes that occur once in it are
// replaced, or an entry is put at its end.
type edit struct {
	section  byte
	find     []byte // nil for an entry
	all      bool   // in every function, not the one
	put      []byte
	original string
}

func parseEdit(text string) (edit, error) {
	e := edit{original: text}
	section, rest, _ := strings.Cut(text, " ")
	n, err := strconv.ParseUint(section, 10, 8)
	if err != nil {
		return e, err
	}
	e.section = byte(n)
	rest, e.all = strings.CutPrefix(rest, "all ")
	find, put, replaces := strings.Cut(rest, "=>")
	if !replaces {
		put, replaces = strings.CutPrefix(rest, "+ ")
		if !replaces {
			return e, fmt.Errorf("write SECTION BYTES => BYTES, SECTION all BYTES => BYTES, or SECTION + BYTES")
		}
		find = ""
	}
	unspaced := strings.NewReplacer(" ", "")
	if e.find, err = hex.DecodeString(unspaced.Replace(find)); err != nil {
		return e, err
	}
	e.put, err = hex.DecodeString(unspaced.Replace(put))
	return e, err
}

// apply does the edits, and puts lengths right.
func apply(wasm []byte, edits []edit) ([]byte, error) {
	for _, e := range edits {
		out, rest, done := bytes.Clone(wasm[:8]), wasm[8:], false
		for len(rest) > 0 {
			id := rest[0]
			body, after := prefixed(rest[1:])
			rest = after
			if id == e.section && !done {
				if edited, ok := e.in(body); ok {
					body, done = edited, true
				}
			}
			out = append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
		}
		if !done {
			return nil, fmt.Errorf("the edit %s finds nothing", e.original)
		}
		wasm = out
	}
	return wasm, nil
}

func (e edit) in(body []byte) ([]byte, bool) {
	if len(e.find) == 0 {
		n, size := binary.Uvarint(body)
		return slices.Concat(binary.AppendUvarint(nil, n+1), body[size:], e.put), true
	}
	if e.section != 10 {
		if bytes.Count(body, e.find) != 1 {
			return nil, false
		}
		return bytes.Replace(body, e.find, e.put, 1), true
	}
	n, size := binary.Uvarint(body)
	out, rest, found := bytes.Clone(body[:size]), body[size:], false
	for range n {
		var code []byte
		code, rest = prefixed(rest)
		if bytes.Count(code, e.find) == 1 && (e.all || !found) {
			code, found = bytes.Replace(code, e.find, e.put, 1), true
		}
		out = append(binary.AppendUvarint(out, uint64(len(code))), code...)
	}
	return append(out, rest...), found
}

// prefixed takes bytes with their length before them off b.
func prefixed(b []byte) (body, rest []byte) {
	n, size := binary.Uvarint(b)
	return b[size : size+int(n)], b[size+int(n):]
}

// build makes a module of the text at path, with what it says is repeated
// repeated so many times more.
func (h *hostile) build(times int) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(hostileDir, h.name+".wat"))
	if err != nil {
		return nil, err
	}
	expanded, err := repeat(string(text), times)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hostile")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in.wat"), filepath.Join(dir, "out.wasm")
	if err := os.WriteFile(in, []byte(expanded), 0o600); err != nil {
		return nil, err
	}
	if printed, err := exec.Command("wat2wasm", append(slices.Clone(h.flags), in, "-o", out)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("wat2wasm: %w\n%s", err, printed[:min(len(printed), 4000)])
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return apply(wasm, h.edits)
}

// repeat writes out the lines between ";; repeat N" and ";; end", with {n} for
// how often they were before, and {n+1} for the number after.
func repeat(text string, times int) (string, error) {
	var out, block strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		count, begins := strings.CutPrefix(strings.TrimSpace(line), ";; repeat ")
		switch {
		case begins && n == 0:
			var err error
			if n, err = strconv.Atoi(count); err != nil || n < 1 {
				return "", fmt.Errorf("%q isn't a number of times", count)
			}
		case n > 0 && strings.TrimSpace(line) == ";; end":
			for i := range n * times {
				counted := strings.NewReplacer("{n}", strconv.Itoa(i), "{n+1}", strconv.Itoa(i+1))
				out.WriteString(counted.Replace(block.String()))
			}
			block.Reset()
			n = 0
		case n > 0:
			block.WriteString(line)
		default:
			out.WriteString(line)
		}
	}
	if n > 0 {
		return "", fmt.Errorf("a repetition has no end")
	}
	return out.String(), nil
}

// module is what runs: the file, or for what is grown what it grows to.
func (h *hostile) module(t testing.TB) []byte {
	t.Helper()
	if h.grown == 1 {
		return h.wasm
	}
	growing.mu.Lock()
	defer growing.mu.Unlock()
	if wasm := growing.modules[h.name]; wasm != nil {
		return wasm
	}
	wasm, err := h.build(h.grown)
	if err != nil {
		t.Fatal(err)
	}
	growing.modules[h.name] = wasm
	return wasm
}

var growing = struct {
	mu      sync.Mutex
	modules map[string][]byte
}{modules: map[string][]byte{}}

func TestHostileModulesAreWhatTheirTextsSay(t *testing.T) {
	list := hostiles(t)
	if len(list) < 45 {
		t.Fatalf("there are %d hostile modules", len(list))
	}
	seen := map[string]string{}
	for _, h := range list {
		wasm, err := h.build(1)
		if err != nil {
			t.Errorf("%s: %v", h.name, err)
			continue
		}
		if *update {
			if err := os.WriteFile(filepath.Join(hostileDir, h.name+".wasm"), wasm, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(wasm, h.wasm) {
			t.Errorf("%s.wasm isn't what wat2wasm makes of %s.wat: run this test with -update", h.name, h.name)
		}
		if len(wasm) > 64<<10 {
			t.Errorf("%s.wasm has %d bytes", h.name, len(wasm))
		}
		for _, what := range []string{"attacks " + h.attacks, "module " + string(wasm)} {
			if other := seen[what]; other != "" {
				t.Errorf("%s is %s again", h.name, other)
			}
			seen[what] = h.name
		}
	}
	files, err := filepath.Glob(filepath.Join(hostileDir, "*.wasm"))
	if err != nil || len(files) != len(list) {
		t.Errorf("there are %d modules and %d texts, %v", len(files), len(list), err)
	}
}
