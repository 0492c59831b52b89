package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

// A clock collects how long something took, round by round.
type clock []time.Duration

func (c *clock) time(b *testing.B, do func() error) {
	b.Helper()
	start := time.Now()
	err := do()
	*c = append(*c, time.Since(start))
	if err != nil {
		b.Fatal(err)
	}
}

func (c clock) p50() float64 {
	slices.Sort(c)
	return c[len(c)/2].Seconds()
}

// figure prints a line for machines to read, once.
func figure(name string, value float64) { fmt.Printf("FIGURE %s %.3f\n", name, value) }

// post sends body and reads the answer.
func post(url, token, body string) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	return err
}

// BenchmarkPython1Plus1OverRaw interleaves a warm python_run of 1+1 over HTTP
// with the same cell through the kernel client alone, each on a kernel of its
// own, and gives the ratio of their medians.
func BenchmarkPython1Plus1OverRaw(b *testing.B) {
	s := hosttest.NewStage(b, hosttest.Options{})
	url := s.Server.URL + "/v1/sessions/" + s.Agent.Session() + "/tools/python_run"
	starter, err := proc.New(proc.Config{})
	if err != nil {
		b.Fatal(err)
	}
	raw, err := kernel.New(kernel.Config{Starter: starter, Language: "python", Python: hosttest.Python(b), Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close(b.Context())
	overHTTP := func() error { return post(url, s.Agent.Token, `{"code":"1+1"}`) }
	alone := func() error {
		_, err := raw.Execute(b.Context(), abi.KernelExecuteRequest{Code: "1+1"}, func(abi.Output) {})
		return err
	}
	var warm, http, direct clock
	for range 5 {
		warm.time(b, overHTTP)
		warm.time(b, alone)
	}
	for b.Loop() {
		http.time(b, overHTTP)
		direct.time(b, alone)
	}
	ratio := http.p50() / direct.p50()
	b.ReportMetric(ratio, "ratio")
	figure("http/python-1plus1-over-raw", ratio)
}

// BenchmarkNoopOverCall interleaves a no-op tool over HTTP, a bare echo handler
// of the same JSON, and the same call in process; it gives the first's median
// over the sum of the others'.
func BenchmarkNoopOverCall(b *testing.B) {
	s := hosttest.NewStage(b, hosttest.Options{Plugins: []string{"testdata/plugins/echo"}})
	const body = `{"text":"hello"}`
	id := s.Agent.Session()
	url := s.Server.URL + "/v1/sessions/" + id + "/tools/echo_call"
	session, err := s.Host.Sessions().Any(id)
	if err != nil {
		b.Fatal(err)
	}
	e := echo.New()
	e.POST("/", func(c echo.Context) error {
		var v map[string]any
		if err := json.NewDecoder(c.Request().Body).Decode(&v); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, v)
	})
	bareServer := httptest.NewServer(e)
	defer bareServer.Close()

	tool := func() error { return post(url, s.Agent.Token, body) }
	bare := func() error { return post(bareServer.URL, "", body) }
	call := func() error {
		_, err := s.Host.Call(b.Context(), host.ToolCall{Session: session, Tool: "echo_call", Arguments: json.RawMessage(body)})
		return err
	}
	var warm, overHTTP, handler, inProcess clock
	for range 5 {
		for _, do := range []func() error{tool, bare, call} {
			warm.time(b, do)
		}
	}
	for b.Loop() {
		overHTTP.time(b, tool)
		handler.time(b, bare)
		inProcess.time(b, call)
	}
	ratio := overHTTP.p50() / (handler.p50() + inProcess.p50())
	b.ReportMetric(ratio, "ratio")
	figure("http/noop-over-call", ratio)
}
