package kernel_test

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

func TestResultOfTheLastExpression(t *testing.T) {
	k, _ := shared(t)
	r := run(t, k, "1+1")
	if r.Status != abi.StatusOK || len(r.Outputs) != 1 || r.Outputs[0].Type != abi.OutputResult || plain(t, r.Outputs[0]) != "2" {
		t.Errorf("%+v", r)
	}
	if r.ExecutionCount < 1 || r.StateLost != "" || r.Truncated != 0 || r.Error != nil {
		t.Errorf("%+v", r)
	}
}

func TestStateOutlastsAnExecution(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "import math\nradius = 2")
	expect(t, k, "print(round(math.pi * radius**2, 3))", "12.566\n")
}

func TestOutputStreamsInOrder(t *testing.T) {
	k, work := shared(t)
	var seen []string
	// Each line waits for a word that the one before has been seen.
	code := `
import os, sys, time
for i, stream in enumerate([sys.stdout, sys.stderr, sys.stdout]):
    print("line", i, file=stream, flush=True)
    end = time.monotonic() + 20
    while not os.path.exists(f"seen-{i}") and time.monotonic() < end:
        time.sleep(0.002)
    print("seen", os.path.exists(f"seen-{i}"), file=stream)
`
	r, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: code}, func(o abi.Output) {
		seen = append(seen, o.Name+": "+o.Text)
		var i int
		if n, _ := fmt.Sscanf(o.Text[max(0, strings.Index(o.Text, "line")):], "line %d", &i); n == 1 {
			if err := os.WriteFile(filepath.Join(work, fmt.Sprint("seen-", i)), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := printed(r, "stdout"); got != "line 0\nseen True\nline 2\nseen True\n" {
		t.Errorf("stdout is %q, streamed %q", got, seen)
	}
	if got := printed(r, "stderr"); got != "line 1\nseen True\n" {
		t.Errorf("stderr is %q, streamed %q", got, seen)
	}
	if all := strings.Join(seen, ""); strings.Index(all, "line 0") > strings.Index(all, "line 1") || strings.Index(all, "line 1") > strings.Index(all, "line 2") {
		t.Errorf("streamed %q", seen)
	}
}

func TestNeighbouringPrintsAreJoined(t *testing.T) {
	k, _ := shared(t)
	r := run(t, k, "for i in range(3): print(i, flush=True)")
	if len(r.Outputs) != 1 || r.Outputs[0].Text != "0\n1\n2\n" {
		t.Errorf("%+v", r.Outputs)
	}
}

func TestOutputOfSubprocessesIsThere(t *testing.T) {
	k, _ := shared(t)
	expect(t, k, "import subprocess; code = subprocess.call(['echo', 'from below'])", "from below\n")
	expect(t, k, "!echo from the shell", "from the shell\r\n") // a terminal's line
}

func TestFigureIsABlob(t *testing.T) {
	k, _ := shared(t)
	r := run(t, k, "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()")
	if len(r.Outputs) != 1 || r.Outputs[0].Type != abi.OutputDisplay || len(r.Outputs[0].Blobs) != 1 {
		t.Fatalf("%+v %+v", r.Outputs, r.Error)
	}
	blob := r.Outputs[0].Blobs[0]
	if _, err := png.Decode(bytes.NewReader(blob.Bytes)); err != nil || blob.MIMEType != "image/png" {
		t.Errorf("%s: %v", blob.MIMEType, err)
	}
	if !strings.HasPrefix(plain(t, r.Outputs[0]), "<Figure") {
		t.Errorf("%s", r.Outputs[0].Data)
	}
}

func TestChineseTitleIsDrawnWithoutAWarning(t *testing.T) {
	t.Parallel()
	output := zone(t, "output")
	k := newKernel(t, func(c *kernel.Config) { c.Views = []proc.View{output} })
	draw := func(file, more string) []byte {
		t.Helper()
		r := run(t, k, `
import warnings, logging, matplotlib.pyplot as plt
warnings.simplefilter("always")
plt.figure()
`+more+`
plt.plot([1, 2], [-1, 1])
plt.title("销售额 東京 서울")
plt.savefig("output/`+file+`")
plt.close()
`)
		data, err := os.ReadFile(filepath.Join(output.Source, file))
		if err != nil || r.Status != abi.StatusOK {
			t.Fatalf("%v %+v", err, r)
		}
		if said := printed(r, "stderr"); (said != "") != (more != "") {
			t.Errorf("%s: matplotlib says %q", file, said)
		}
		return data
	}
	good := draw("good.png", "")
	if _, err := png.Decode(bytes.NewReader(good)); err != nil {
		t.Error(err)
	}
	// The same in a font without the glyphs warns, and looks different.
	if bad := draw("bad.png", `plt.rcParams["font.family"] = "DejaVu Sans"`); bytes.Equal(good, bad) {
		t.Error("the title's font makes no difference")
	}
}

func TestListOfFontsIsMadeOnce(t *testing.T) {
	t.Parallel()
	k := newKernel(t, nil)
	run(t, k, "import matplotlib.font_manager as fm, os\nbefore = os.listdir(os.environ['MPLCONFIGDIR'])")
	expect(t, k, "print(any(n.startswith('fontlist') for n in before), 'matplotlibrc' in before)", "True True\n")
	made, err := filepath.Glob(filepath.Join(cacheDir, "matplotlib-*"))
	if err != nil || len(made) != 1 {
		t.Errorf("%v, %v", made, err)
	}
}

func TestExceptionHasAPlainTraceback(t *testing.T) {
	k, _ := shared(t)
	r := run(t, k, "print('before')\ndef divide(a, b):\n    return a / b\ndivide(1, 0)")
	if r.Status != abi.StatusError || r.Error == nil || r.Error.Name != "ZeroDivisionError" || r.Error.Value != "division by zero" {
		t.Fatalf("%+v", r)
	}
	trace := strings.Join(r.Error.Traceback, "\n")
	if !strings.Contains(trace, "return a / b") || strings.Contains(trace, "\x1b") {
		t.Errorf("%s", trace)
	}
	if printed(r, "stdout") != "before\n" {
		t.Errorf("%+v", r.Outputs)
	}
}

func TestCodeThatFailsInOtherWays(t *testing.T) {
	k, _ := shared(t)
	for _, c := range []struct{ code, name, value string }{
		{"x = (", "SyntaxError", "incomplete input"},
		{"if True:\nprint(1)", "IndentationError", "expected an indented block"},
		{"input('who? ')", "StdinNotImplementedError", "does not support input requests"},
		{"raise ValueError('\\ud800 lone')", "ValueError", "� lone"},
		{"import sys; sys.exit(3)", "SystemExit", "3"},
		{"print(1)\x00", "", "null byte"},
		{"import os, signal; os.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(20)", "KeyboardInterrupt", ""},
		{"class E(Exception):\n    def __str__(self): raise RuntimeError('worse')\nraise E()", "", ""},
	} {
		r := run(t, k, c.code)
		if r.Status != abi.StatusError || r.Error == nil || !strings.Contains(r.Error.Name, c.name) || !strings.Contains(r.Error.Value, c.value) {
			t.Errorf("%q: %s %+v", c.code, r.Status, r.Error)
		}
		expect(t, k, "print('alive')", "alive\n")
	}
}

func TestEmptyCodeDoesNothing(t *testing.T) {
	k, _ := shared(t)
	for _, code := range []string{"", "\n", "# nothing"} {
		if r := run(t, k, code); r.Status != abi.StatusOK || len(r.Outputs) != 0 || r.Outputs == nil {
			t.Errorf("%q: %+v", code, r)
		}
	}
}

func TestUnicodeComesAsItIs(t *testing.T) {
	k, _ := shared(t)
	expect(t, k, "print('Zürich 東京 🏰 \\u2028 \\x00 \\x7f')", "Zürich 東京 🏰 \u2028 \x00 \x7f\n")
	expect(t, k, "print('a\\ud800b')", "a�b\n")
	expect(t, k, "print('before'); print('\\udc80'); print('after')", "before\n�\nafter\n")
	r := run(t, k, "'\\ud800'")
	if len(r.Outputs) != 1 || plain(t, r.Outputs[0]) != `'\ud800'` {
		t.Errorf("%+v", r.Outputs)
	}
}

func TestDisplaysAreUpdatedAndCleared(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "from IPython.display import display, clear_output, HTML, JSON, Image, SVG, update_display")
	for _, c := range []struct {
		name, code string
		want       []string
	}{
		{"update in place", "h = display('one', display_id=True); display('two'); h.update('three')", []string{"'three'", "'two'"}},
		{"two of one id", "h = display('one', display_id='x'); h = display('uno', display_id='x'); h.update('both')", []string{"'both'", "'both'"}},
		{"update of an earlier execution's", "update_display('late', display_id='x')", []string{"'late'"}},
		{"clear", "print('gone'); display('gone'); clear_output(); display('stays')", []string{"'stays'"}},
		{"clear waits", "display('gone'); clear_output(wait=True); display('stays')", []string{"'stays'"}},
		{"clear waits in vain", "display('stays'); clear_output(wait=True)", []string{"'stays'"}},
	} {
		r := run(t, k, c.code)
		var got []string
		for _, o := range r.Outputs {
			got = append(got, plain(t, o)+o.Text)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %q, want %q; %+v", c.name, got, c.want, r.Error)
		}
	}
}

func TestRepresentationsAreKeptByType(t *testing.T) {
	k, _ := shared(t)
	r := run(t, k, `
from IPython.display import publish_display_data
publish_display_data({
    "text/plain": "plain", "text/html": "<b>bold</b>", "application/json": {"a": [1]},
    "image/svg+xml": "<svg/>", "image/png": "aGVs\nbG8=", "application/pdf": "JVBERg==", "image/gif": "not base64!",
})`)
	if len(r.Outputs) != 1 {
		t.Fatalf("%+v %+v", r.Outputs, r.Error)
	}
	for mime, want := range map[string]string{
		"text/plain": `"plain"`, "text/html": `"\u003cb\u003ebold\u003c/b\u003e"`, "application/json": `{"a": [1]}`,
		"image/svg+xml": `"\u003csvg/\u003e"`, "image/gif": `"not base64!"`,
	} {
		if got := string(r.Outputs[0].Data[mime]); got != want {
			t.Errorf("%s is %s, want %s", mime, got, want)
		}
	}
	blobs := map[string]string{}
	for _, b := range r.Outputs[0].Blobs {
		blobs[b.MIMEType] = string(b.Bytes)
	}
	if len(blobs) != 2 || blobs["image/png"] != "hello" || blobs["application/pdf"] != "%PDF" {
		t.Errorf("%q", blobs)
	}
}

func TestThreadsMayPrintLate(t *testing.T) {
	k, _ := shared(t)
	run(t, k, `
import threading
go, printed = threading.Event(), threading.Event()
def late():
    go.wait(20); print("late"); printed.set()
threading.Thread(target=late).start()`)
	expect(t, k, "go.set(); ok = printed.wait(20)", "late\n")
}

func TestNobodyAnswersAComm(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "from comm import create_comm\nc = create_comm(target_name='widget')\nclosed = []\nc.on_close(lambda m: closed.append(1))")
	poll(t, "the comm's end", func() bool { return printed(run(t, k, "print(len(closed))"), "stdout") == "1\n" })
}

func TestEnvironmentIsTheKernelsOwn(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "hunter2")
	t.Setenv("JPY_PARENT_PID", "1")
	k := newKernel(t, func(c *kernel.Config) {
		c.Env = map[string]string{"EXTRA": "yes", "TMPDIR": "/tmp"}
		c.Limits.CPUShare = 1.5
	})
	r := run(t, k, "import os\nfor n in ['SECRET_OF_THE_HOST', 'JPY_PARENT_PID', 'EXTRA', 'TMPDIR', 'LANG', 'FORCE_COLOR', 'OMP_NUM_THREADS']: print(n, os.environ.get(n))")
	want := "SECRET_OF_THE_HOST None\nJPY_PARENT_PID None\nEXTRA yes\nTMPDIR /tmp\nLANG C.UTF-8\nFORCE_COLOR None\nOMP_NUM_THREADS 2\n"
	if got := printed(r, "stdout"); got != want {
		t.Errorf("%s", got)
	}
}

func TestWorkingDirectoryShowsTheViews(t *testing.T) {
	t.Parallel()
	upload, output, store := zone(t, "upload"), zone(t, "output"), zone(t, "store")
	upload.ReadOnly, store.ReadOnly = true, true
	data := filepath.Join(upload.Source, "data.csv")
	if err := os.WriteFile(data, []byte("city,sales\n東京,3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	give(t, data)
	k := newKernel(t, func(c *kernel.Config) { c.Views = []proc.View{upload, output, store} })
	expect(t, k, "import os; print(sorted(os.listdir()))", "['output', 'store', 'upload']\n")
	expect(t, k, "import pandas; print(pandas.read_csv('upload/data.csv').sales.sum())", "3\n")
	expect(t, k, "open('output/result.txt', 'w').write('done') and None", "")
	if got, err := os.ReadFile(filepath.Join(output.Source, "result.txt")); err != nil || string(got) != "done" {
		t.Errorf("%q, %v", got, err)
	}
	// Names of modules that stand in the way of a start don't stop it.
	run(t, k, "open('random.py', 'w').write('1/0'); open('zmq.py', 'w').write('1/0')")
	if err := k.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, k, "print('fresh')", "fresh\n")
}
