package httpapi_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/httpapi"
)

const counter = "testdata/plugins/counter"

// next counts one up in a session.
func next(t *testing.T, c *hosttest.Client, session, want string) {
	t.Helper()
	r := c.Call(session, "counter_next", args{})
	if got := text(r); got != want {
		t.Errorf("the count is %s, want %s", got, want)
	}
	var u host.Usage
	if err := json.Unmarshal(r.Meta[host.MetaUsage], &u); err != nil {
		t.Fatal(err)
	}
	if want != "1" && u.Sandbox != "session" {
		t.Errorf("the call ran in a sandbox that is %q", u.Sandbox)
	}
}

func TestStateIsKeptForASessionAndNobodyElse(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{counter}})
	other := s.Client(httpapi.RoleAgent)
	mine, second, theirs := s.Agent.Session(), s.Agent.Session(), other.Session()
	next(t, s.Agent, mine, "1")
	next(t, s.Agent, mine, "2")
	next(t, s.Agent, second, "1")
	next(t, other, theirs, "1")
	next(t, s.Agent, mine, "3")
	next(t, other, theirs, "2")
	if a := other.Try(mine, "counter_next", args{}); a.StatusCode != http.StatusNotFound {
		t.Errorf("another agent got %d %s", a.StatusCode, a.Body)
	}
	next(t, s.Agent, mine, "4")
}

func TestStateBeginsAnewAfterACallThatFailedInThePlugin(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{counter}})
	session, second := s.Agent.Session(), s.Agent.Session()
	next(t, s.Agent, session, "1")
	next(t, s.Agent, second, "1")
	wants(t, s.Agent.Try(session, "counter_trap", args{}), http.StatusBadGateway, abi.CodePluginFailed)
	next(t, s.Agent, session, "1")
	next(t, s.Agent, second, "2")
	wants(t, s.Agent.Try(session, "counter_next", args{"unknown": 1}), http.StatusBadRequest, abi.CodeInvalidArgument)
	next(t, s.Agent, session, "2") // the plugin wasn't called
}

func TestStateEndsWithItsSessionItsGrantAndItsHost(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	entry := putVersion(s, counter, "1")
	allow(s, entry)
	session := s.Agent.Session()
	next(t, s.Agent, session, "1")
	next(t, s.Agent, session, "2")
	allow(s, putVersion(s, counter, "2"))
	next(t, s.Agent, session, "1")
	allow(s)
	eventually(t, "it is revoked", func() bool { return len(plugins(s, "counter")[host.PluginLoaded]) == 0 })
	allow(s, entry)
	next(t, s.Agent, session, "1")
	s.Restart()
	next(t, s.Agent, session, "1")
	s.Agent.JSON(http.MethodDelete, "/v1/sessions/"+session, "", nil)
	next(t, s.Agent, s.Agent.Session(), "1")
}

// TestCallsOfASessionFollowOneAnother would lose a count if two ran at once,
// and counts of two sessions would mix.
func TestCallsOfASessionFollowOneAnother(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{counter}})
	sessions := []string{s.Agent.Session(), s.Agent.Session()}
	var wg sync.WaitGroup
	for _, session := range sessions {
		for range 8 {
			wg.Go(func() { resultText(t, s.Agent.Try(session, "counter_slow", args{})) })
		}
	}
	wg.Wait()
	for _, session := range sessions {
		next(t, s.Agent, session, "9")
	}
}

// TestACallThatIsGivenUpFreesItsSession has a call sleep for ever, and its
// client leave.
func TestACallThatIsGivenUpFreesItsSession(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{counter}})
	session := s.Agent.Session()
	next(t, s.Agent, session, "1")
	stream(t, t.Context(), s.Agent, session, "counter_sleep", args{}, func(e abi.Event) bool { return e.Type != abi.EventProgress })
	next(t, s.Agent, session, "1")
}
