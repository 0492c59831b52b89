package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// A program is made of any bytes, and valid: each byte decides on a statement.
// It counts the instructions that it executes, in its global 0, so that what
// is charged can be held against what was done.
type program struct {
	choices []byte
	labels  []byte // '\x02' a block, '\x03' a loop
	out     bytes.Buffer
}

const programFunctions = 3

// encode makes functions of two numbers to a number, which have two locals
// besides and call one another.
func (p *program) encode() []byte {
	g := guest{memory: "\x01\x01\x02", globals: []string{i64 + "\x01" + i64Const(0) + end}}
	each := len(p.choices)/programFunctions + 1
	rest := p.choices
	for i := range programFunctions {
		part := program{choices: rest[:min(each, len(rest))]}
		rest = rest[len(part.choices):]
		part.statements()
		g.funcs = append(g.funcs, function{export: string(rune('a' + i)), params: i32 + i32, results: i32, groups: 1, locals: "\x02" + i32,
			code: part.out.String() + tick(1) + get(2)})
	}
	return g.encode()
}

// tick counts instructions, its own too.
func tick(n int) string { return "\x23\x00" + i64Const(int64(n+4)) + "\x7c\x24\x00" }

func (p *program) next() int {
	if len(p.choices) == 0 {
		return 0
	}
	c := p.choices[0]
	p.choices = p.choices[1:]
	return int(c)
}

// emit writes code of so many instructions.
func (p *program) emit(n int, code string) { p.out.WriteString(tick(n) + code) }

// statements writes what stands in a block, up to where control leaves it.
func (p *program) statements() {
	for len(p.choices) > 0 {
		c := p.next()
		a, b := c>>4&3, c>>6&3
		switch c & 15 {
		case 0, 1, 2:
			p.emit(4, get(a)+i32Const(c)+[]string{add32, sub32, mul32, xor32}[b]+set(b))
		case 3:
			p.emit(5, get(a)+i32Const(0xff)+"\x71\x28\x02\x10"+set(b)) // and, i32.load
		case 4:
			p.emit(5, get(a)+i32Const(0xff)+"\x71"+get(b)+"\x36\x02\x08")
			p.out.WriteString("\x01") // nop
		case 5, 6:
			p.nest('\x02', block)
		case 7:
			p.nest('\x03', loop)
		case 8:
			p.emit(2, get(a))
			p.nest('\x02', ifThen)
		case 9:
			p.emit(2, get(a)+ifThen)
			p.labels = append(p.labels, '\x02')
			p.statements()
			p.out.WriteString("\x05")
			p.statements()
			p.out.WriteString(end)
			p.labels = p.labels[:len(p.labels)-1]
		case 10:
			if len(p.labels) > 0 {
				p.emit(2, get(a)+brIf(p.next()%len(p.labels)))
			}
		case 11:
			if n := len(p.labels); n > 0 {
				p.emit(2, get(a)+"\x0e\x02"+leb(p.next()%n)+leb(p.next()%n)+leb(p.next()%n))
				return
			}
		case 12:
			p.emit(4, get(a)+get(b)+call(p.next()%programFunctions)+set(b))
		case 13:
			if n := len(p.labels); n > 0 {
				p.emit(3, i32Const(p.next()%6)+set(a)+br(p.next()%n))
				return
			}
		case 14: // a loop as Go's
			p.labels = append(p.labels, '\x03')
			p.out.WriteString(loop + block + block + block + get(a) + "\x0e\x02\x00\x01\x02" + end)
			for range 3 {
				p.labels = append(p.labels, '\x02')
			}
			for range 3 {
				p.labels = p.labels[:len(p.labels)-1]
				p.statements()
				p.out.WriteString(end)
			}
			p.labels = p.labels[:len(p.labels)-1]
		case 15:
			return
		}
	}
}

func (p *program) nest(label byte, open string) {
	p.out.WriteString(open)
	p.labels = append(p.labels, label)
	p.statements()
	p.out.WriteString(end)
	p.labels = p.labels[:len(p.labels)-1]
}

// checkProgram runs a program both ways, and compares.
func checkProgram(t *testing.T, choices []byte) (ended bool) {
	t.Helper()
	original := (&program{choices: choices}).encode()
	rewritten, err := rewrite(original, wasm.Options{Keep: all})
	if err != nil {
		t.Fatalf("%x: %v", choices, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m := &meter{left: 100_000}
	one, two := fuzzRuntime(t, m), fuzzRuntime(t, m)
	a, err := one.Instantiate(ctx, original)
	if err != nil {
		t.Fatalf("%x: %v", choices, err)
	}
	b, err := two.Instantiate(ctx, rewritten.Wasm)
	if err != nil {
		t.Fatalf("%x: %v", choices, err)
	}
	s := &staged{Module: b, meter: m, rewritten: rewritten, t: t}
	for i := range programFunctions {
		name := string(rune('a' + i))
		got, gotErr := s.try(64<<10, name, 3, 5)
		done := s.get(rewritten.Globals[0].Name)
		// What comes behind a call is paid for before it, and may not come.
		if m.used+100 < done || m.used > 3*done+100 && gotErr == nil {
			t.Fatalf("%x: %s: %d units are charged for %d instructions", choices, name, m.used, done)
		}
		if m.most > between {
			t.Fatalf("%x: %s: %d units lie between two checks", choices, name, m.most)
		}
		if errors.Is(gotErr, errNoFuel) || errors.Is(gotErr, errNoStack) {
			return false
		}
		want, wantErr := a.ExportedFunction(name).Call(ctx, 3, 5)
		if text(gotErr) != text(wantErr) || wantErr == nil && got[0] != want[0] {
			t.Fatalf("%x: %s came to %d, %v, in the original to %d, %v", choices, name, got, gotErr, want, wantErr)
		}
	}
	return true
}

// FuzzProgram holds the rewriting of valid code against what it does and costs.
func FuzzProgram(f *testing.F) {
	seeds := 0
	for n := range 30 {
		f.Add(randomChoices(uint64(n)))
		seeds++
	}
	if seeds == 0 {
		f.Fatal("there is nothing to begin with")
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) < 2_000 {
			checkProgram(t, choices)
		}
	})
}

func randomChoices(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, 30+random.IntN(300))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestProgramsDoTheSameAndPayForIt(t *testing.T) {
	ended := 0
	for n := range uint64(200) {
		if checkProgram(t, randomChoices(n+1000)) {
			ended++
		}
	}
	if ended < 40 {
		t.Errorf("only %d of 200 programs came to their end", ended)
	}
}
