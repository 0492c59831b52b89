package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// limited is a stage with one plugin that has these limits.
func limited(t *testing.T, dir string, l abi.Limits, config func(*host.Config)) *hosttest.Stage {
	t.Helper()
	return hosttest.NewStage(t, hosttest.Options{
		Plugins: []string{dir}, Config: config,
		Edit: func(e *policy.Entry) { e.Limits = l },
	})
}

// TestOverTheQueueIs429 fills a plugin's places and its queue.
func TestOverTheQueueIs429(t *testing.T) {
	s := limited(t, edition, abi.Limits{Concurrent: 2, Queue: 1}, nil)
	session := s.Agent.Session()
	var under []<-chan hosttest.Answer
	for range 3 {
		under = append(under, underWay(s, session, "edition_wait", args{}))
	}
	loaded := plugins(s, "edition")[host.PluginLoaded]
	if len(loaded) != 1 || loaded[0].Running != 2 || loaded[0].Waiting != 1 {
		t.Errorf("the status is %+v", loaded)
	}
	a := s.Agent.Try(session, "edition_tell", args{})
	wants(t, a, http.StatusTooManyRequests, abi.CodeResourceExhausted, "plugin edition", "2 of 2", "1 more", "limits.queue")
	p := a.Problem(t)
	if p.Limit != "queue" || !p.Retryable {
		t.Errorf("the problem is %+v", p)
	}
	if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
		t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
	}
	letGo(s, session)
	for _, answer := range under {
		if got := resultText(t, <-answer); got != "one" {
			t.Errorf("got %q", got)
		}
	}
	s.Agent.Call(session, "edition_tell", args{})
}

func TestTheHostHasAQueueOfItsOwn(t *testing.T) {
	s := limited(t, edition, abi.Limits{}, func(c *host.Config) { c.MaxCalls = 1 })
	session := s.Agent.Session()
	var under []<-chan hosttest.Answer
	for range 5 { // one runs, and four times as many wait
		under = append(under, underWay(s, session, "edition_wait", args{}))
	}
	a := s.Agent.Try(session, "edition_tell", args{})
	wants(t, a, http.StatusTooManyRequests, abi.CodeResourceExhausted, "the host has 1 of 1", "4 more")
	if a.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	letGo(s, session)
	for _, answer := range under {
		resultText(t, <-answer)
	}
}

// TestWaitingCallsEnd has calls wait for their turn while what they wait for
// comes to an end: the client goes away, the session ends, the plugin is
// revoked. Afterwards every place is free.
func TestWaitingCallsEnd(t *testing.T) {
	s := limited(t, edition, abi.Limits{Concurrent: 1, Queue: 10}, nil)
	first, second := s.Agent.Session(), s.Agent.Session()
	running := underWay(s, first, "edition_wait", args{})

	gone, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		req := s.Agent.Request(http.MethodPost, "/v1/sessions/"+first+"/tools/edition_tell", strings.NewReader("{}")).WithContext(gone)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		left <- err
	}()
	waiting := func(n int) func() bool {
		return func() bool { return plugins(s, "edition")[host.PluginLoaded][0].Waiting == n }
	}
	eventually(t, "the call waits", waiting(1))
	leave()
	if err := <-left; err == nil {
		t.Error("the call was answered")
	}
	eventually(t, "the place in the queue is free", waiting(0))

	ended := underWay(s, second, "edition_tell", args{})
	s.Agent.JSON(http.MethodDelete, "/v1/sessions/"+second, "", nil)
	wants(t, <-ended, http.StatusConflict, abi.CodeCanceled, "session was ended")

	revoked := underWay(s, first, "edition_tell", args{})
	allow(s)
	wants(t, <-running, http.StatusForbidden, abi.CodePermissionDenied, "revoked")
	wants(t, <-revoked, http.StatusForbidden, abi.CodePermissionDenied, "edition")

	entry := s.Install(edition)
	entry.Limits.Concurrent = 1
	allow(s, entry)
	if got := text(s.Agent.Call(first, "edition_tell", args{})); got != "one one" {
		t.Errorf("got %q", got)
	}
}

// TestTheDeadlineRunsFromACallsTurn has calls wait for longer than each may
// take, all together.
func TestTheDeadlineRunsFromACallsTurn(t *testing.T) {
	s := limited(t, edition, abi.Limits{Concurrent: 1, Deadline: abi.Duration(3 * time.Second)}, nil)
	session := s.Agent.Session()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			a := s.Agent.Try(session, "edition_tell", args{"ms": 1200})
			if got := resultText(t, a); got != "one one" {
				t.Errorf("got %q", got)
			}
		})
	}
	wg.Wait()
}

func TestAResultSaysWhatTheCallTook(t *testing.T) {
	s := limited(t, "testdata/plugins/badboy", abi.Limits{Fuel: 5e11}, nil)
	r := s.Agent.Call(s.Agent.Session(), "badboy_draw", args{"kib": 300})
	var u host.Usage
	if err := json.Unmarshal(r.Meta[host.MetaUsage], &u); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(u.Call, "c-") || u.Sandbox == "" || u.WallMS <= 0 || u.GuestMS <= 0 || u.GuestMS > u.WallMS || u.QueueMS < 0 ||
		u.Fuel < 1000 || u.HostCalls < 300 || u.HostBytes < 300<<10 || u.OutputBytes < 10 || u.MemoryBytes < 1<<20 ||
		u.StackBytes <= 0 || u.TableElements <= 0 {
		t.Errorf("the call took %+v", u)
	}
	if u.Limits.Fuel != 5e11 || u.Limits.MemoryMiB != 512 {
		t.Errorf("the limits were %+v", u.Limits)
	}
	for i, l := range reflect.ValueOf(u.Limits).Fields() {
		if l.IsZero() {
			t.Errorf("limit %s isn't told", i.Name)
		}
	}
}

func TestTheAuditLogSaysWhatACallTookHoweverItEnded(t *testing.T) {
	s := limited(t, "testdata/plugins/badboy", abi.Limits{}, nil)
	session := s.Agent.Session()
	s.Agent.Call(session, "badboy_remember", args{})
	s.Agent.Try(session, "badboy_trap", args{})
	log, err := s.Host.AuditLog(audit.Filter{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	ends := 0
	for _, e := range log {
		if e.Kind != audit.KindCallEnd {
			continue
		}
		ends++
		if fuel, err := strconv.ParseInt(e.Detail["fuel"], 10, 64); err != nil || fuel <= 0 {
			t.Errorf("%s: the call took %v", e.Tool, e.Detail)
		}
		for _, key := range []string{"queue_ms", "wall_ms", "guest_ms", "host_calls", "host_bytes", "output_bytes", "memory_bytes", "stack_bytes", "table_elements", "sandbox"} {
			if e.Detail[key] == "" {
				t.Errorf("%s: %s isn't told", e.Tool, key)
			}
		}
	}
	if ends != 2 {
		t.Errorf("%d calls ended", ends)
	}
}

// TestCallsOfPluginsDontWait has a plugin call one whose only place is taken:
// of two chains that waited for each other neither would end.
func TestCallsOfPluginsDontWait(t *testing.T) {
	s := newRelay(t, func(e *policy.Entry) {
		if e.Name == "badboy" {
			e.Limits.Concurrent = 1
		}
	})
	session := s.Agent.Session()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	left := make(chan struct{})
	go func() {
		defer close(left)
		req := s.Agent.Request(http.MethodPost, "/v1/sessions/"+session+"/tools/badboy_sleep", strings.NewReader("{}")).WithContext(ctx)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	eventually(t, "the place is taken", func() bool { return plugins(s, "badboy")[host.PluginLoaded][0].Running == 1 })
	_, e := try(t, s, session, "badboy_trap", args{})
	if e == nil || e.Code != abi.CodeResourceExhausted || e.Limit != "concurrent" || !e.Retryable || e.RetryAfterMS < 1000 {
		t.Errorf("it came to %+v", e)
	}
	end()
	<-left
	eventually(t, "the place is free", func() bool { return plugins(s, "badboy")[host.PluginLoaded][0].Running == 0 })
	if _, e := try(t, s, session, "badboy_trap", args{}); e == nil || e.Code != abi.CodePluginFailed {
		t.Errorf("with a place that is free it came to %+v", e)
	}
}

// TestAStreamThatWaitsInTheQueueIsKeptAlive reads what comes before the call's
// turn.
func TestAStreamThatWaitsInTheQueueIsKeptAlive(t *testing.T) {
	s := limited(t, edition, abi.Limits{Concurrent: 1}, nil)
	session := s.Agent.Session()
	running := underWay(s, session, "edition_wait", args{})
	req := s.Agent.Request(http.MethodPost, "/v1/sessions/"+session+"/tools/edition_tell", strings.NewReader("{}"))
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	if line, err := body.ReadString('\n'); err != nil || resp.StatusCode != http.StatusOK || line != ": alive\n" {
		t.Errorf("the stream began with %d %q %v", resp.StatusCode, line, err)
	}
	letGo(s, session)
	resultText(t, <-running)
	if rest, err := io.ReadAll(body); err != nil || !strings.Contains(string(rest), "event: result") {
		t.Errorf("the stream ended with %q %v", rest, err)
	}
}

func TestALimitThatIsReachedSaysWhoCanRaiseIt(t *testing.T) {
	s := limited(t, "testdata/plugins/badboy", abi.Limits{HostCalls: 200}, nil)
	a := s.Agent.Try(s.Agent.Session(), "badboy_draw", args{"kib": 300})
	wants(t, a, http.StatusUnprocessableEntity, abi.CodeResourceExhausted, "more than its limit of 200",
		"do less in one call, or have the operator raise limits.host_calls for the plugin in the policy")
}
