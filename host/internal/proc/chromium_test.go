package proc_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// chromium is the program itself, past Debian's script round it.
const chromium = "/usr/lib/chromium/chromium"

// TestIsolatedChromiumKeepsItsOwnSandbox has a real browser fetch a page from
// its own network, and looks at its processes meanwhile.
func TestIsolatedChromiumKeepsItsOwnSandbox(t *testing.T) {
	profile, zone := t.TempDir(), openTempDir(t)
	asked, goOn := make(chan struct{}), make(chan struct{})
	site := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			fmt.Fprint(w, `<p id=here></p><script src=/wait></script>`)
		case "/wait":
			close(asked)
			<-goOn
			fmt.Fprint(w, `document.getElementById("here").textContent = 6 * 7`)
		default:
			http.NotFound(w, r)
		}
	})}
	defer site.Close()
	p := browse(t, profile, "http://127.0.0.1:3128/", func(l net.Listener) { site.Serve(l) })
	select {
	case <-asked:
	case <-p.Done():
		t.Fatalf("%s: %s", p.Exit().Reason, p.Output())
	case <-time.After(30 * time.Second):
		t.Fatalf("it doesn't fetch the page: %s", p.Output())
	}
	renderers := 0
	main := descendants(p.PID())[0]
	for _, pid := range descendants(p.PID()) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		if strings.Contains(string(line), "--no-sandbox") {
			t.Errorf("process %d is without its sandbox: %q", pid, line)
		}
		if !strings.Contains(string(line), "--type=renderer") {
			continue
		}
		renderers++
		if got, own := filtersOf(t, pid), filtersOf(t, main); got <= own {
			t.Errorf("a renderer has %d filters of system calls, and its browser %d", got, own)
		}
		for _, namespace := range []string{"user", "net"} {
			its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, namespace))
			if err != nil {
				t.Fatal(err)
			}
			if browsers, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", main, namespace)); its == browsers {
				t.Errorf("a renderer has no %s namespace of its own", namespace)
			}
		}
	}
	if renderers == 0 {
		t.Error("there is no renderer")
	}
	if _, err := os.Lstat(filepath.Join("/proc", fmt.Sprint(main), "root", zone)); err == nil {
		t.Error("the browser sees a folder of the host's")
	}
	close(goOn)
	exit := awaitLong(t, p)
	if got := p.Output(); !strings.Contains(got, `<p id="here">42</p>`) || exit.Code != 0 {
		t.Errorf("%s: %s", exit.Reason, got)
	}
}

func TestIsolatedChromiumShowsAPageOfData(t *testing.T) {
	p := browse(t, t.TempDir(), "data:text/html,<title>page</title><p>of data", nil)
	exit := awaitLong(t, p)
	if got := p.Output(); !strings.Contains(got, "<p>of data</p>") || exit.Code != 0 {
		t.Errorf("%s: %s", exit.Reason, got)
	}
}

// browse starts a browser that prints a page. It sees its profile and no zone.
func browse(t *testing.T, profile, url string, serve func(net.Listener)) *proc.Process {
	t.Helper()
	s := isolating(t)
	spec := proc.Spec{
		Name: "chromium", Path: chromium, Dir: profile, User: s.User(int(sessions.Add(1))),
		Args:  []string{"--headless", "--disable-gpu", "--no-first-run", "--user-data-dir=/profile", "--dump-dom", url},
		Env:   map[string]string{"HOME": "/profile", "PATH": "/usr/bin:/bin"},
		Views: []proc.View{{Source: profile, Target: "/profile"}},
		Nests: true,
	}
	if serve != nil {
		spec.Listen = []proc.Listen{{Address: "127.0.0.1:3128", Serve: serve}}
	}
	p, err := s.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	return p
}

func awaitLong(t *testing.T, p *proc.Process) proc.Exit {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		t.Fatalf("it doesn't end: %s", p.Output())
	}
	return p.Exit()
}

// descendants returns the processes below one, those above first.
func descendants(pid int) []int {
	files, _ := filepath.Glob("/proc/[0-9]*")
	below := map[int][]int{}
	for _, file := range files {
		var n int
		fmt.Sscan(filepath.Base(file), &n)
		below[parent(n)] = append(below[parent(n)], n)
	}
	list := below[pid]
	for i := 0; i < len(list); i++ {
		list = append(list, below[list[i]]...)
	}
	return list
}

// filtersOf returns how many seccomp filters a process has.
func filtersOf(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), "\nSeccomp_filters:")
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil || !found || !strings.Contains(string(status), "\nSeccomp:\t2\n") {
		t.Errorf("process %d has no filter of system calls", pid)
	}
	return n
}
