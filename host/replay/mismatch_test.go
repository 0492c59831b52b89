package replay_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/replay"
)

const recorded = `-- case --
tool: run
-- recorded --
case: sha256:1
-- calls --
==> call.log {"level":"info","message":"begin"}
<== {}
==> kernel.execute {"code":"1+1","language":"python"}
<== {"status":"ok"}
==> http.fetch {"url":"https://example.com/"}
  | body
<== error {"code":"unavailable","message":"no way out"}
-- printed --
hello
-- result --
{"content":[{"type":"text","text":"a long text, and then 2"}]}
-- output/x --
one
two
-- output/gone (removed) --
`

// What differs is shown after the calls that went as recorded.
func TestADifferenceIsShownWithTheTrace(t *testing.T) {
	const begun = `==> call.log(level="info", message="begin")
<== 6 bytes
`
	const executed = begun + `==> kernel.execute(code="1+1", language="python")
<== 19 bytes
`
	const fetched = executed + `==> http.fetch(url="https://example.com/", body="body\n")
<== unavailable: no way out
`
	type call struct{ op, header, body string }
	begin, execute, fetch := call{abi.OpCallLog, `{"message":"begin", "level":"info"}`, ""}, call{abi.OpKernelExecute, `{"language":"python","code":"1+1"}`, ""}, call{abi.OpHTTPFetch, `{"url":"https://example.com/"}`, "body\n"}
	all := []call{begin, execute, fetch}
	answer := text("a long text, and then 2")
	same := []replay.Change{{Path: "output/gone", Removed: true}, {Path: "output/x", Data: []byte("one\ntwo\n")}}
	tests := []struct {
		name     string
		calls    []call
		response abi.CallResponse
		printed  string
		changes  []replay.Change
		want     string
	}{
		{"nothing", all, answer, "hello\n", same, ""},
		{"another argument", []call{begin, {abi.OpKernelExecute, `{"code":"1+2","language":"python"}`, ""}}, answer, "hello\n", same, begun + `==> kernel.execute(code="1+2", language="python")
the plugin asks with other arguments, at /code
  recorded: "1+1"
  now:      "1+2"
`},
		{"an argument more", []call{begin, {abi.OpKernelExecute, `{"code":"1+1","language":"python","stream":"agent"}`, ""}}, answer, "hello\n", same, begun + `==> kernel.execute(code="1+1", language="python", stream="agent")
the plugin asks with other arguments, at /stream
  recorded: nothing
  now:      "agent"
`},
		{"another operation", []call{begin, {abi.OpKernelReset, `{}`, ""}}, answer, "hello\n", same, begun + `==> kernel.reset()
the plugin asks for another operation
  recorded: ==> kernel.execute(code="1+1", language="python")
  now:      ==> kernel.reset()
`},
		{"another body", []call{begin, execute, {abi.OpHTTPFetch, fetch.header, "a body"}}, answer, "hello\n", same, executed + `==> http.fetch(url="https://example.com/", body="a body")
the plugin asks with another body
  recorded: body="body\n"
  now:      body="a body"
`},
		{"an operation more", append(all[:3:3], begin), answer, "hello\n", same, fetched + `==> call.log(message="begin", level="info")
the plugin asks for an operation more than was recorded
  recorded: nothing
  now:      ==> call.log(message="begin", level="info")
`},
		{"operations fewer", []call{begin}, answer, "hello\n", same, begun + `the plugin ends, and 2 recorded operations were not asked for; the first is
  recorded: ==> kernel.execute(code="1+1", language="python")
  now:      nothing
`},
		{"another result", all, text("a long text, and then 3"), "hello\n", same, fetched + `the result is another, at /content/0/text
  recorded: "a long text, and then 2"
  now:      "a long text, and then 3"
`},
		{"an error", all, abi.CallResponse{Error: abi.Errorf(abi.CodeNotFound, "not there")}, "hello\n", same, fetched + `the plugin answers with an error, and a result was recorded
  recorded: result {"content":[{"type":"text","text":"a long text, and then 2"}]}
  now:      error {"code":"not_found","message":"not there"}
`},
		{"another print", all, answer, "hello\nagain\n", same, fetched + `the plugin prints something else, in line 2
  recorded: the end
  now:      "again\n"
`},
		{"another file", all, answer, "hello\n", []replay.Change{same[0], {Path: "output/x", Data: []byte("one\n2\n")}}, fetched + `the file output/x differs, in line 2
  recorded: "two\n"
  now:      "2\n"
`},
		{"a file fewer", all, answer, "hello\n", same[:1], fetched + `the file output/x differs
  recorded: it has 8 bytes
  now:      it is as it was
`},
		{"a file more", all, answer, "hello\n", append([]replay.Change{{Path: "output/a", Data: []byte("1")}}, same...), fetched + `the file output/a differs
  recorded: it is as it was
  now:      it has 1 byte
`},
		{"a file that isn't removed", all, answer, "hello\n", same[1:], fetched + `the file output/gone differs
  recorded: it is removed
  now:      it is as it was
`},
		{"what moves a terminal", []call{{abi.OpCallLog, `{"level":"info","message":"` + "\u202e\u009b" + `begin"}`, ""}}, answer, "hello\n", same, `==> call.log(level="info", message="��begin")
the plugin asks with other arguments, at /message
  recorded: "begin"
  now:      "��begin"
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := replay.NewPlayer(parse(t, recorded).Recording, nil)
			for _, c := range tt.calls {
				_, _ = p.Dispatch(t.Context(), c.op, frame(t, c.header, c.body))
			}
			got := ""
			if m := p.Finish(tt.response, tt.printed, tt.changes); m != nil {
				got = m.Trace()
			}
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// A long value is cut to where it differs.
func TestADifferenceInALongValueIsSeen(t *testing.T) {
	long := strings.Repeat("x", 5000)
	p := replay.NewPlayer(parse(t, strings.Replace(recorded, "1+1", long+"1"+long, 1)).Recording, nil)
	ask(t, p.Dispatch, abi.OpCallLog, `{"level":"info","message":"begin"}`)
	ask(t, p.Dispatch, abi.OpKernelExecute, `{"code":"`+long+"2"+long+`","language":"python"}`)
	trace := p.Mismatch().Trace()
	if !strings.Contains(trace, "recorded: …xxx") || !strings.Contains(trace, "x1x") || !strings.Contains(trace, "x2x") || len(trace) > 1500 {
		t.Errorf("the trace is\n%s", trace)
	}
}

// After a difference nothing is answered any more, and what came first is told.
func TestThePluginGetsNothingAfterADifference(t *testing.T) {
	p := replay.NewPlayer(parse(t, recorded).Recording, nil)
	ask(t, p.Dispatch, abi.OpKernelReset, `{}`)
	first := p.Mismatch()
	if got := ask(t, p.Dispatch, abi.OpCallLog, `{"level":"info","message":"begin"}`); !strings.Contains(got, "failed_precondition") {
		t.Errorf("it was answered %s", got)
	}
	if p.Finish(text("x"), "", nil) != first {
		t.Error("another difference is told than the first")
	}
}
