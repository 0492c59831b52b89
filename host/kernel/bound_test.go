package kernel_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

// fits checks that a response is within bounds and goes into a frame.
func fits(t *testing.T, r abi.KernelExecuteResponse, text, blobs int) {
	t.Helper()
	gotText, gotBlobs := 0, 0
	for _, o := range r.Outputs {
		gotText += len(o.Text)
		for _, d := range o.Data {
			gotText += len(d)
		}
		for _, b := range o.Blobs {
			gotBlobs += len(b.Bytes)
		}
		if !utf8.ValidString(o.Text) {
			t.Error("a character was cut in two")
		}
	}
	const slack = 1024 // of the marks
	if gotText > text+slack || gotBlobs > blobs {
		t.Errorf("%d bytes of text and %d of blobs, want at most %d and %d", gotText, gotBlobs, text, blobs)
	}
	if _, err := abi.EncodeKernelExecute(r); err != nil {
		t.Error(err)
	}
}

func TestFloodIsBoundedAndHarmsNothing(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "kept = 'still here'")
	streamed := 0
	r, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: `
print("the head")
for i in range(60_000): print(f"line {i:06} 東京 " + "x" * 80)
print("the tail")
`}, func(o abi.Output) { streamed += len(o.Text) })
	if err != nil || r.Status != abi.StatusOK {
		t.Fatalf("%v %+v", err, r.Error)
	}
	fits(t, r, kernel.DefaultMaxOutput, 0)
	text := printed(r, "stdout")
	if !strings.HasPrefix(text, "the head\nline 000000") || !strings.HasSuffix(text, "xx\nthe tail\n") {
		t.Errorf("%q … %q", text[:100], text[len(text)-100:])
	}
	total := int64(len("the head\n") + 60_000*len("line 000000 東京 "+strings.Repeat("x", 80)+"\n") + len("the tail\n"))
	mark := text[strings.Index(text, "\n[… "):]
	mark = mark[:strings.Index(mark, "…]\n")+len("…]\n")]
	if kept := int64(len(text) - len(mark)); r.Truncated != total-kept {
		t.Errorf("%d bytes are missing, and truncated is %d", total-kept, r.Truncated)
	}
	if streamed == 0 || streamed > kernel.DefaultMaxOutput {
		t.Errorf("%d bytes were streamed", streamed)
	}
	expect(t, k, "print(kept)", "still here\n")
}

func TestEndlessFloodEndsInTime(t *testing.T) {
	k, _ := shared(t)
	r, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "while True: print('x' * 1000, flush=True)", TimeoutMS: 700}, nil)
	if err != nil || r.Status != abi.StatusTimeout {
		t.Fatalf("%v %+v", err, r)
	}
	fits(t, r, kernel.DefaultMaxOutput, 0)
	expect(t, k, "print('alive')", "alive\n")
}

func TestSlowSinkDoesNotSlowTheKernel(t *testing.T) {
	k, _ := shared(t)
	release := make(chan struct{})
	done := make(chan result, 1)
	seen := make(chan struct{}, 1_000_000)
	go func() {
		r, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "for i in range(20_000): print('x' * 1000)\nopen('finished', 'w').close()"}, func(abi.Output) {
			seen <- struct{}{}
			<-release
		})
		done <- result{r, err}
	}()
	within(t, "the first output", seen)
	// The code finishes while the sink still holds its first output.
	poll(t, "the end of the code", func() bool { return k.Status().State == abi.KernelBusy && exists(t, "finished") })
	close(release)
	if got := within(t, "the end", done); got.err != nil || got.response.Status != abi.StatusOK {
		t.Errorf("%v %+v", got.err, got.response)
	}
}

func TestBoundsOfOneOutput(t *testing.T) {
	t.Parallel()
	k := newKernel(t, func(c *kernel.Config) { c.MaxOutput, c.MaxBlobs = 64<<10, 1<<20 })
	run(t, k, "from IPython.display import display, HTML, Image, publish_display_data\nimport base64")
	for _, c := range []struct {
		name, code string
		check      func(abi.KernelExecuteResponse) bool
	}{
		{"a long result", "'start' + 'x' * 1_000_000 + 'end'", func(r abi.KernelExecuteResponse) bool {
			s := plain(t, r.Outputs[0])
			return strings.HasPrefix(s, "'startx") && strings.HasSuffix(s, "xend'") && strings.Contains(s, "bytes left out") && r.Truncated > 900_000
		}},
		{"a long table", "publish_display_data({'text/plain': 'short', 'text/html': '<td>' * 100_000})", func(r abi.KernelExecuteResponse) bool {
			return plain(t, r.Outputs[0]) == "short" && r.Outputs[0].Data["text/html"] == nil && r.Truncated >= 400_000
		}},
		{"what JSON makes longer", "print('\\x00<>&' * 100_000)", func(r abi.KernelExecuteResponse) bool { return r.Truncated > 300_000 }},
		{"a big image", "publish_display_data({'text/plain': 'image', 'image/png': base64.b64encode(bytes(2_000_000)).decode()})", func(r abi.KernelExecuteResponse) bool {
			return len(r.Outputs) == 1 && len(r.Outputs[0].Blobs) == 0 && plain(t, r.Outputs[0]) == "image" && r.Truncated == 2_000_000
		}},
		{"many images", "for i in range(30): publish_display_data({'image/png': base64.b64encode(bytes(100_000)).decode()})", func(r abi.KernelExecuteResponse) bool {
			return len(r.Outputs[0].Blobs) == 1 && r.Truncated == 2_000_000
		}},
		{"an image updated often", "h = display('', display_id=True)\nfor i in range(30): publish_display_data({'image/png': base64.b64encode(bytes(100_000)).decode()}, transient={'display_id': h.display_id}, update=True)", func(r abi.KernelExecuteResponse) bool {
			return len(r.Outputs) == 1 && len(r.Outputs[0].Blobs) == 1 && r.Truncated == 0
		}},
		{"displays that grow", "hs = [display('', display_id=True) for i in range(50)]\nfor h in hs: h.update('x' * 10_000)", func(r abi.KernelExecuteResponse) bool {
			return len(r.Outputs) == 50 && r.Truncated > 400_000
		}},
		// No more than a kernel's queue takes: of what is beyond that, a kernel drops
		// what a machine that is busy doesn't read in time.
		{"many tiny ones", "for i in range(950): display(i)", func(r abi.KernelExecuteResponse) bool {
			n := len(r.Outputs)
			return n > 100 && n < 900 && plain(t, r.Outputs[0]) == "0" && plain(t, r.Outputs[n-1]) == "949" && r.Truncated > 0
		}},
		{"a long exception", "raise ValueError('x' * 1_000_000)", func(r abi.KernelExecuteResponse) bool {
			return r.Status == abi.StatusError && r.Error.Name == "ValueError" && len(r.Error.Value) < 20_000 && len(strings.Join(r.Error.Traceback, "\n")) < 200_000 && r.Truncated > 1_800_000
		}},
		{"a deep recursion", "def f(n): return f(n + 1)\nf(0)", func(r abi.KernelExecuteResponse) bool { return r.Error.Name == "RecursionError" }},
	} {
		r := run(t, k, c.code)
		fits(t, r, 64<<10, 1<<20)
		if !c.check(r) {
			t.Errorf("%s: status %s, %d outputs, %d truncated, error %.200v", c.name, r.Status, len(r.Outputs), r.Truncated, r.Error)
		}
	}
}

func TestMessageOverTheBoundIsLeftOut(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "kept = 'still here'")
	r := run(t, k, "print('x' * 40_000_000)\nprint('after', flush=True)")
	if r.Status != abi.StatusOK || r.Truncated < 40_000_000 {
		t.Errorf("%s, %d bytes truncated, %.200v", r.Status, r.Truncated, r.Outputs)
	}
	r = run(t, k, "raise ValueError('x' * 40_000_000)")
	if r.Status != abi.StatusError || r.Error == nil || r.Truncated < 40_000_000 {
		t.Errorf("%s, %d bytes truncated, %.200v", r.Status, r.Truncated, r.Error)
	}
	expect(t, k, "print(kept)", "still here\n")
}

func TestConfigurationThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*kernel.Config){
		"no starter":        func(c *kernel.Config) { c.Starter = nil },
		"relative folder":   func(c *kernel.Config) { c.Dir = "work" },
		"relative cache":    func(c *kernel.Config) { c.CacheDir = "cache" },
		"negative time":     func(c *kernel.Config) { c.MaxTime = -time.Second },
		"too much text":     func(c *kernel.Config) { c.MaxOutput = 4 << 20 },
		"too many blobs":    func(c *kernel.Config) { c.MaxBlobs = 64 << 20 },
		"negative queue":    func(c *kernel.Config) { c.MaxQueue = -1 },
		"negative quota":    func(c *kernel.Config) { c.MaxBytes = -1 },
		"negative files":    func(c *kernel.Config) { c.MaxFiles = -1 },
		"interrupt mode":    func(c *kernel.Config) { c.InterruptMode = "politely" },
		"no place for file": func(c *kernel.Config) { c.Argv = []string{"python3", "-m", "ipykernel"} },
	} {
		c := configuration(t, t.TempDir())
		change(&c)
		if _, err := kernel.New(c); abi.CodeOf(err) != abi.CodeInvalidArgument || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestThatCannotBe(t *testing.T) {
	k, _ := shared(t)
	for name, req := range map[string]abi.KernelExecuteRequest{
		"another language": {Language: "cobol"},
		"negative timeout": {TimeoutMS: -1},
	} {
		if _, err := k.Execute(t.Context(), req, nil); abi.CodeOf(err) != abi.CodeInvalidArgument || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
