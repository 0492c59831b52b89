package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/httpapi"
)

// routes returns every route of the API with its path filled in for a session.
func routes(t *testing.T, session string) []httpapi.Route {
	t.Helper()
	all := (&httpapi.Server{}).Routes()
	if len(all) < 15 {
		t.Fatalf("only %d routes", len(all))
	}
	for i := range all {
		all[i].Path = strings.NewReplacer(":session", session, ":tool", "python_run", ":zone", "output", "*", "a.txt").Replace(all[i].Path)
	}
	return all
}

// TestEveryRouteKeepsItsAccess asks every route as nobody, with a wrong token,
// with the wrong role, and as an agent who doesn't own the session.
func TestEveryRouteKeepsItsAccess(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	other := s.Client(httpapi.RoleAgent)
	session := s.Agent.Session()
	nobody, wrong := *s.Agent, *s.Agent
	nobody.Token = ""
	wrong.Token += "x"

	for _, r := range routes(t, session) {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			want := func(who string, c *hosttest.Client, status int, code abi.Code) {
				t.Helper()
				a := c.Do(r.Method, r.Path, "")
				if p := a.Problem(t); a.StatusCode != status || p.Code != code {
					t.Errorf("%s got %d %v, want %d %v: %s", who, a.StatusCode, p.Code, status, code, p.Detail)
				}
			}
			if r.Access == httpapi.AccessAnyone {
				if a := nobody.Do(r.Method, r.Path, ""); a.StatusCode != http.StatusOK {
					t.Errorf("nobody got %d: %s", a.StatusCode, a.Body)
				}
				return
			}
			want("nobody", &nobody, http.StatusUnauthorized, abi.CodeUnauthenticated)
			want("a wrong token", &wrong, http.StatusUnauthorized, abi.CodeUnauthenticated)
			switch r.Access {
			case httpapi.AccessOperator:
				want("an agent", s.Agent, http.StatusForbidden, abi.CodePermissionDenied)
			case httpapi.AccessOwner:
				want("another agent", other, http.StatusNotFound, abi.CodeNotFound)
				want("an operator", s.Operator, http.StatusNotFound, abi.CodeNotFound)
			case httpapi.AccessSteward:
				want("another agent", other, http.StatusNotFound, abi.CodeNotFound)
			case httpapi.AccessToken:
			default:
				t.Errorf("access %q has no row here", r.Access)
			}
		})
	}
	if a := s.Agent.Do(http.MethodGet, "/v1/sessions/"+session, ""); a.StatusCode != http.StatusOK {
		t.Errorf("the owner's session is gone after the attempts: %d %s", a.StatusCode, a.Body)
	}
}

func TestSessionsAreListedToTheirOwnerAndToOperators(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	other := s.Client(httpapi.RoleAgent)
	mine, theirs := s.Agent.Session(), other.Session()
	for _, c := range []struct {
		who       string
		client    *hosttest.Client
		want, not string
	}{
		{"the owner", s.Agent, mine, theirs},
		{"the other owner", other, theirs, mine},
		{"an operator", s.Operator, mine, "nothing"},
		{"an operator", s.Operator, theirs, "nothing"},
	} {
		list := string(c.client.Do(http.MethodGet, "/v1/sessions", "").Body)
		if !strings.Contains(list, c.want) || strings.Contains(list, c.not) {
			t.Errorf("%s sees %s, want %s and not %s", c.who, list, c.want, c.not)
		}
	}
	if a := s.Operator.Do(http.MethodDelete, "/v1/sessions/"+theirs, ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("an operator could not end a session: %d %s", a.StatusCode, a.Body)
	}
	if a := other.Do(http.MethodGet, "/v1/sessions/"+theirs, ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("the ended session answers %d", a.StatusCode)
	}
}

// TestWebPagesAreKeptOut shows that a page in a browser on this machine can't
// use the API: neither by a rebound name nor from its own origin.
func TestWebPagesAreKeptOut(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	for _, c := range []struct {
		name         string
		host, origin string
		status       int
	}{
		{"the loopback's address", "", "", http.StatusOK},
		{"localhost", "localhost:80", "", http.StatusOK},
		{"the host's own origin", "localhost:80", "http://localhost:80", http.StatusOK},
		{"a rebound name", "evil.example", "", http.StatusForbidden},
		{"a name that ends like ours", "notlocalhost", "", http.StatusForbidden},
		{"another origin", "", "https://evil.example", http.StatusForbidden},
		{"an opaque origin", "", "null", http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := s.Agent.Request(http.MethodGet, "/v1/tools", nil)
			if c.host != "" {
				req.Host = c.host
			}
			if c.origin != "" {
				req.Header.Set("Origin", c.origin)
			}
			a := s.Agent.Send(req)
			if a.StatusCode != c.status {
				t.Errorf("got %d, want %d: %s", a.StatusCode, c.status, a.Body)
			}
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("Access-Control-Allow-Origin is %q", got)
			}
		})
	}
}

func TestATokenIsTakenAsSoonAsItIsMade(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	late := s.Client(httpapi.RoleAgent)
	if a := late.Do(http.MethodGet, "/v1/tools", ""); a.StatusCode != http.StatusOK {
		t.Errorf("got %d: %s", a.StatusCode, a.Body)
	}
}
