package kernel_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/host/kernel"
)

var wireKey = []byte("a key of a test")

func encode(t testing.TB, content any) [][]byte {
	t.Helper()
	frames, err := kernel.Encode(wireKey, "message-1", content)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

func TestMessageIsReadBehindAnyPrefix(t *testing.T) {
	frames := encode(t, map[string]string{"text": "Zürich"})
	for _, prefix := range [][][]byte{nil, {[]byte("stream.stdout")}, {[]byte("id"), {}, []byte("topic")}} {
		for _, buffers := range [][][]byte{nil, {[]byte("bytes"), {}}} {
			id, parent, content, cut, err := kernel.Decode(wireKey, slices.Concat(prefix, frames, buffers))
			if err != nil || id != "message-1" || parent != "" || string(content) != `{"text":"Zürich"}` || cut != 0 {
				t.Errorf("prefix %q: %q %q %s %d %v", prefix, id, parent, content, cut, err)
			}
		}
	}
}

func TestMessageMustBeAnObject(t *testing.T) {
	var nothing map[string]string
	for _, content := range []any{nothing, nil, "text", []int{1}} {
		if _, err := kernel.Encode(wireKey, "id", content); err == nil {
			t.Errorf("%v was sent", content)
		}
	}
}

func TestMessageThatWasChangedIsRefused(t *testing.T) {
	good := encode(t, map[string]int{"a": 1})
	for name, change := range map[string]func([][]byte) [][]byte{
		"other key":     func(f [][]byte) [][]byte { f[1] = bytes.Repeat([]byte("0"), 64); return f },
		"no signature":  func(f [][]byte) [][]byte { f[1] = nil; return f },
		"upper case":    func(f [][]byte) [][]byte { f[1] = bytes.ToUpper(f[1]); return f },
		"other header":  func(f [][]byte) [][]byte { f[2] = bytes.Replace(f[2], []byte("1"), []byte("2"), 1); return f },
		"other content": func(f [][]byte) [][]byte { f[5] = []byte(`{"a":2}`); return f },
		// The signature covers the frames' bytes without their borders.
		"other borders":     func(f [][]byte) [][]byte { f[4], f[5] = append(f[4], f[5][0]), f[5][1:]; return f },
		"too few frames":    func(f [][]byte) [][]byte { return f[:5] },
		"no delimiter":      func(f [][]byte) [][]byte { return f[1:] },
		"nothing":           func([][]byte) [][]byte { return nil },
		"delimiter at last": func(f [][]byte) [][]byte { return f[:1] },
	} {
		frames := make([][]byte, len(good))
		for i, f := range good {
			frames[i] = slices.Clone(f)
		}
		if _, _, _, _, err := kernel.Decode(wireKey, change(frames)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	join := func(frames [][]byte) []byte { return bytes.Join(frames, []byte{0xff}) }
	for _, content := range []any{struct{}{}, map[string]any{"text": "x", "n": []int{1}}, map[string]string{"execution_state": "idle"}} {
		frames := encode(f, content)
		f.Add(join(frames), uint16(0), byte(0))
		f.Add(join(append([][]byte{[]byte("topic")}, frames...)), uint16(30), byte(1))
	}
	f.Add([]byte("<IDS|MSG>\xff\xff{}\xff{}\xff{}\xff\x00cut 123"), uint16(0), byte(0))
	f.Add([]byte("<IDS|MSG>\xff\xff{}\xffnull\xff{}\xff{}"), uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint16, flip byte) {
		frames := bytes.Split(data, []byte{0xff})
		_, _, content, cut, err := kernel.Decode(wireKey, frames)
		if err == nil && cut == 0 && !json.Valid(content) {
			t.Errorf("the content is not JSON: %q", content)
		}
		if err == nil && (cut < 0 || cut > 0 && content != nil) {
			t.Errorf("cut %d, content %q", cut, content)
		}
		// Whatever byte of a good message's signed part is changed, it is refused.
		if json.Valid(data) && len(data) > 0 && data[0] == '{' && flip != 0 {
			good := encode(t, json.RawMessage(data))
			part := good[2+int(at)%4]
			part[int(at/4)%len(part)] ^= flip
			if _, _, _, cut, err := kernel.Decode(wireKey, good); err == nil && cut == 0 {
				t.Errorf("a changed message was accepted: %q", good)
			}
		}
	})
}

// stream is a connection from which a given text can be read.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error)       { return s.Reader.Read(p) }
func (s stream) SetWriteDeadline(time.Time) error { return nil }

var greeting = strings.Repeat("g", 64)

func frame(flags byte, body string) string {
	if len(body) < 256 {
		return string([]byte{flags, byte(len(body))}) + body
	}
	return string(binary.BigEndian.AppendUint64([]byte{flags | 2}, uint64(len(body)))) + body
}

func TestFencePassesWhatIsWithinBounds(t *testing.T) {
	text := greeting + frame(4, "READY") + frame(1, "a") + frame(1, strings.Repeat("b", 70_000)) + frame(0, "") + frame(0, strings.Repeat("c", kernel.MaxMessage))
	got, err := io.ReadAll(kernel.NewFence(stream{Reader: strings.NewReader(text)}))
	if err != nil || string(got) != text {
		t.Errorf("%d bytes of %d came through: %v", len(got), len(text), err)
	}
}

func TestFenceMarksWhatIsOverTheBound(t *testing.T) {
	big := strings.Repeat("b", kernel.MaxMessage)
	text := greeting + frame(1, "a") + frame(1, big) + frame(0, "c") + frame(0, big)
	got, err := io.ReadAll(kernel.NewFence(stream{Reader: strings.NewReader(text)}))
	want := greeting + frame(1, "a") + frame(1, "\x00cut 33554432") + frame(0, "c") + frame(0, big)
	if err != nil || string(got) != want {
		t.Errorf("%d bytes came through, want %d: %v", len(got), len(want), err)
	}
}

func TestFenceCutsWhatCannotBe(t *testing.T) {
	for name, text := range map[string]string{
		"an impossible length": "\x02\xff\xff\xff\xff\xff\xff\xff\xff",
		"a frame that is cut":  "\x02\x00\x00\x00\x01\x00\x00\x00\x00abc",
		"too many frames":      strings.Repeat("\x01\x00", kernel.MaxFrames+1),
		"half a header":        "\x02\x00",
	} {
		if _, err := io.ReadAll(kernel.NewFence(stream{Reader: strings.NewReader(greeting + text)})); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzFence(f *testing.F) {
	f.Add([]byte(frame(1, "a") + frame(0, "b")))
	f.Add([]byte(frame(1, strings.Repeat("a", 300)) + "\x02\x00\x00\x00\x00\x7f\xff\xff\xff"))
	f.Add([]byte("\x02\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := io.ReadAll(kernel.NewFence(stream{Reader: io.MultiReader(strings.NewReader(greeting), bytes.NewReader(data))}))
		if len(got) < 64 || len(got) > 64+2*len(data)+16 {
			t.Fatalf("%d bytes in, %d out", len(data), len(got))
		}
		// What comes out announces nothing over the bound.
		budget, more := uint64(kernel.MaxMessage), false
		for rest := got[64:]; len(rest) >= 2; {
			flags, size, n := rest[0], uint64(rest[1]), 2
			if flags&2 != 0 {
				if len(rest) < 9 {
					t.Fatalf("half a header came out: %v", err)
				}
				size, n = binary.BigEndian.Uint64(rest[1:]), 9
			}
			if !more {
				budget = kernel.MaxMessage
			}
			more = flags&1 != 0
			if size > budget+32 {
				t.Fatalf("a frame of %d bytes is announced", size)
			}
			budget -= min(budget, size)
			rest = rest[n:]
			rest = rest[min(uint64(len(rest)), size):]
		}
	})
}
