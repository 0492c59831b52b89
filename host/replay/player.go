package replay

import (
	"context"
	"encoding/json"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Player stands in the place of a host's operations, and answers as one did
// when the case was recorded. It is used by one goroutine.
type Player struct {
	rec      *Recording
	next     int
	apply    func([]Change) error
	mismatch *Mismatch
}

// NewPlayer returns a Player of one call. apply does to the workspace what an
// operation did; nil does nothing.
func NewPlayer(rec *Recording, apply func([]Change) error) *Player {
	if apply == nil {
		apply = func([]Change) error { return nil }
	}
	return &Player{rec: rec, apply: apply}
}

// Dispatch answers an operation with what was recorded. Once the plugin has
// asked for something else every answer is an error, and Mismatch says what.
func (p *Player) Dispatch(ctx context.Context, op string, frame []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.mismatch != nil {
		return nil, errOver()
	}
	got := Call{Op: op, Request: partOf(frame)}
	if p.mismatch = p.compare(got); p.mismatch != nil {
		return nil, errOver()
	}
	want := p.rec.Calls[p.next]
	p.next++
	if err := p.apply(want.Changes); err != nil {
		return nil, err
	}
	if want.Error != nil {
		return nil, want.Error
	}
	return want.Response.frame()
}

func errOver() error {
	return abi.Errorf(abi.CodeFailedPrecondition, "the plugin does something else than what was recorded")
}

func (p *Player) compare(got Call) *Mismatch {
	m := &Mismatch{Calls: p.rec.Calls[:p.next:p.next], Asked: &got}
	if p.next == len(p.rec.Calls) {
		m.What = "the plugin asks for an operation more than was recorded"
		m.Want, m.Got = nothing, got.asked()
		return m
	}
	want := p.rec.Calls[p.next]
	switch {
	case got.Op != want.Op:
		m.What = "the plugin asks for another operation"
		m.Want, m.Got = want.asked(), got.asked()
	case (want.Request.Header == nil) != (got.Request.Header == nil):
		m.What = "the plugin asks with another frame"
		m.Want, m.Got = want.asked(), got.asked()
	case !equalParts(want.Request, got.Request):
		if d := compareJSON(want.Request.Header, got.Request.Header); want.Request.Header != nil && d != nil {
			m.What, m.Want, m.Got = at("the plugin asks with other arguments", d.pointer), d.want, d.got
			break
		}
		m.What = "the plugin asks with another body"
		m.Want, m.Got = bodyWords(want.Request), bodyWords(got.Request)
	default:
		return nil
	}
	return m
}

// Mismatch returns the first thing that was asked for and not recorded, nil
// where everything was.
func (p *Player) Mismatch() *Mismatch { return p.mismatch }

// Finish compares what a call came to, once it has ended: what is left of the
// recording, what the plugin answered with, what it printed, and what is
// different in the workspace. It returns the first difference, nil where there
// is none.
func (p *Player) Finish(response abi.CallResponse, printed string, changes []Change) *Mismatch {
	if p.mismatch != nil {
		return p.mismatch
	}
	m := &Mismatch{Calls: p.rec.Calls[:p.next:p.next]}
	result, failure := ResponseOf(response)
	switch {
	case p.next < len(p.rec.Calls):
		left := len(p.rec.Calls) - p.next
		m.What = plural(left, "the plugin ends, and a recorded operation was not asked for", "the plugin ends, and %d recorded operations were not asked for; the first is")
		m.Want, m.Got = p.rec.Calls[p.next].asked(), nothing
	case (p.rec.Error == nil) != (failure == nil):
		m.What = "the plugin answers with an error, and a result was recorded"
		if failure == nil {
			m.What = "the plugin answers with a result, and an error was recorded"
		}
		m.Want, m.Got = answer(p.rec.Result, p.rec.Error), answer(result, failure)
	case p.answers(m, p.rec.Result, result, "the result is another"), p.answers(m, p.rec.Error, failure, "the error is another"):
	case string(p.rec.Printed) != printed:
		m.What, m.Want, m.Got = compareText("the plugin prints something else", p.rec.Printed, []byte(printed))
	default:
		return m.compareFiles(p.rec.Changes, changes)
	}
	return m
}

// Failed is the mismatch of a call that could not be carried out.
func (p *Player) Failed(err error) *Mismatch {
	e := abi.AsError(err)
	m := &Mismatch{Calls: p.rec.Calls[:p.next:p.next], What: "the call fails", Want: answer(p.rec.Result, p.rec.Error), Got: e.Error()}
	if e.Hint != "" {
		m.Got += " (" + e.Hint + ")"
	}
	return m
}

// answers compares an answer, and says whether it differs.
func (p *Player) answers(m *Mismatch, want, got json.RawMessage, what string) bool {
	if want == nil {
		return false
	}
	d := compareJSON(want, got)
	if d == nil {
		return false
	}
	m.What, m.Want, m.Got = at(what, d.pointer), d.want, d.got
	return true
}

func answer(result, failure json.RawMessage) string {
	if failure != nil {
		return "error " + string(failure)
	}
	return "result " + string(result)
}

// compareFiles returns m with the first file that differs, nil where none does.
func (m *Mismatch) compareFiles(want, got []Change) *Mismatch {
	wanted, gotten := byPath(want), byPath(got)
	paths := map[string]bool{}
	for _, c := range append(want[:len(want):len(want)], got...) {
		paths[c.Path] = true
	}
	for _, path := range sortedKeys(paths) {
		w, g := wanted[path], gotten[path]
		switch {
		case w == nil, g == nil, w.Removed != g.Removed:
			m.What, m.Want, m.Got = "the file "+path+" differs", w.words(), g.words()
			return m
		case string(w.Data) != string(g.Data):
			m.What, m.Want, m.Got = compareText("the file "+path+" differs", w.Data, g.Data)
			return m
		}
	}
	return nil
}

func byPath(changes []Change) map[string]*Change {
	m := make(map[string]*Change, len(changes))
	for i := range changes {
		m[changes[i].Path] = &changes[i]
	}
	return m
}
