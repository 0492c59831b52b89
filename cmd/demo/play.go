package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// A play is what the agent does, step by step. Each step checks what it shows.
type play struct {
	agent, operator *client
	session         string
	pictures        string // folder to keep the chart in
	secret          string // a file of the host's that anybody on the machine may read
	site            *site
	stage           *stage
}

type step struct {
	title string
	do    func(context.Context) error
}

func (p *play) steps() []step {
	return []step{
		{"a session is made", p.makeSession},
		{"the tools, with JSON Schemas", p.listTools},
		{"a CSV is read with pandas and drawn, while the prints stream", p.drawChart},
		{"state persists, and an endless loop is interrupted", p.keepState},
		{"files are read, written and edited, within the zones' rules", p.useFiles},
		{"what wasn't granted is refused", p.meetRefusals},
		{"code in the kernel tries the walls", p.tryWalls},
		{"the network is what was granted", p.useNetwork},
		{"every call starts clean, at little cost", p.startClean},
		{"a hostile plugin meets its limits", p.meetLimits},
		{"a plugin calls tools of others, where it was granted them", p.callAcross},
		{"a plugin that keeps state keeps it for its session", p.keepSessions},
		{"a new version takes over, and drops no call", p.takeOver},
		{"the audit log", p.showAudit},
	}
}

func say(format string, a ...any) { fmt.Printf("   "+format+"\n", a...) }

func (p *play) makeSession(ctx context.Context) error {
	var s struct{ ID string }
	if err := p.agent.json(ctx, http.MethodPost, "/v1/sessions", nil, &s); err != nil {
		return err
	}
	p.session = s.ID
	say("session %s", s.ID)
	return nil
}

func (p *play) listTools(ctx context.Context) error {
	var list struct {
		Tools []struct {
			Name        string
			InputSchema struct {
				Type       string
				Properties map[string]any
			}
		}
	}
	if err := p.agent.json(ctx, http.MethodGet, "/v1/tools", nil, &list); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, t := range list.Tools {
		if t.InputSchema.Type != "object" {
			return fmt.Errorf("tool %s has no schema", t.Name)
		}
		seen[t.Name] = true
		say("%s (%d arguments)", t.Name, len(t.InputSchema.Properties))
	}
	for _, name := range []string{"python_run", "files_read", "files_write", "files_edit", "files_list"} {
		if !seen[name] {
			return fmt.Errorf("tool %s is missing", name)
		}
	}
	return nil
}

// file is the path of a file in the session's workspace.
func (p *play) file(path string) string {
	return "/v1/sessions/" + p.session + "/files/" + path
}

const title = "每日销售额"

func chart(name, font string) string {
	return fmt.Sprintf(`
import pandas as pd, matplotlib.pyplot as plt
sales = pd.read_csv("upload/sales.csv")
plt.figure(figsize=(5, 3))
plt.plot(sales["day"], sales["amount"])
plt.title(%q%s)
plt.savefig("output/%s")
plt.close()
`, title, font, name)
}

func (p *play) drawChart(ctx context.Context) error {
	csv := "day,amount\n1,120\n2,135\n3,90\n4,180\n"
	if _, err := p.agent.bytes(ctx, http.MethodPut, p.file("upload/sales.csv"), []byte(csv)); err != nil {
		return err
	}
	say("uploaded upload/sales.csv, %d bytes", len(csv))

	// The code waits for a file that is uploaded only when its print was seen:
	// so the print came while the call was still running.
	code := chart("sales.png", "") + `
import os, time
print("total", sales["amount"].sum(), flush=True)
while not os.path.exists("upload/seen"):
    time.sleep(0.01)
print("seen")
`
	streamed := false
	r, err := p.agent.stream(ctx, p.session, "python_run", args{"code": code}, func(e event) error {
		if streamed || e.Output == nil || !strings.Contains(e.Output.Text, "total 525") {
			return nil
		}
		streamed = true
		say("streamed while it runs: %s", strings.TrimSpace(e.Output.Text))
		_, err := p.agent.bytes(ctx, http.MethodPut, p.file("upload/seen"), []byte("yes"))
		return err
	})
	if err != nil {
		return err
	}
	if text := r.text(); r.IsError || !strings.Contains(text, "seen") || strings.Contains(text, "missing from font") {
		return fmt.Errorf("python_run answered: %s", text)
	}
	withCJK, err := p.picture(ctx, "sales.png")
	if err != nil {
		return err
	}
	r, err = p.agent.call(ctx, p.session, "python_run", args{"code": chart("plain.png", `, fontfamily=["DejaVu Sans"]`)})
	if err != nil {
		return err
	}
	if r.IsError {
		return fmt.Errorf("python_run answered: %s", r.text())
	}
	without, err := p.picture(ctx, "plain.png")
	if err != nil {
		return err
	}
	if samePixels(withCJK, without) {
		return errors.New("the title looks the same in a font without CJK: its glyphs are missing")
	}
	say("output/sales.png is a PNG of %v with the title %s; a font without CJK gives other pixels", withCJK.Bounds().Size(), title)
	say("look at it: %s", filepath.Join(p.pictures, "sales.png"))
	return nil
}

// picture downloads a PNG from output/ and keeps a copy.
func (p *play) picture(ctx context.Context, name string) (image.Image, error) {
	b, err := p.agent.bytes(ctx, http.MethodGet, p.file("output/"+name), nil)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.pictures, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(p.pictures, name), b, 0o644); err != nil {
		return nil, err
	}
	return png.Decode(bytes.NewReader(b))
}

func samePixels(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return false
	}
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			if a.At(x, y) != b.At(x, y) {
				return false
			}
		}
	}
	return true
}

func (p *play) keepState(ctx context.Context) error {
	if _, err := p.agent.call(ctx, p.session, "python_run", args{"code": "answer = 6 * 7"}); err != nil {
		return err
	}
	interrupted := false
	r, err := p.agent.stream(ctx, p.session, "python_run", args{"code": "print('looping', flush=True)\nwhile True: pass"}, func(e event) error {
		if interrupted || e.Output == nil {
			return nil
		}
		interrupted = true
		say("%s for ever, so it is interrupted", strings.TrimSpace(e.Output.Text))
		return p.agent.json(ctx, http.MethodPost, "/v1/sessions/"+p.session+"/kernel/interrupt", nil, nil)
	})
	if err != nil {
		return err
	}
	if !r.IsError || !interrupted {
		return fmt.Errorf("the loop was not interrupted: %s", r.text())
	}
	if r, err = p.agent.call(ctx, p.session, "python_run", args{"code": "print(answer, len(sales))"}); err != nil {
		return err
	}
	if !strings.Contains(r.text(), "42 4") {
		return fmt.Errorf("the variables are gone: %s", r.text())
	}
	say("the variables are still there: %s", strings.TrimSpace(r.text()))
	return nil
}

func (p *play) useFiles(ctx context.Context) error {
	calls := []struct {
		tool string
		args args
		want string // in the result's text
	}{
		{"files_write", args{"path": "output/report.md", "content": "# Sales\nThe total is unknown.\n"}, ""},
		{"files_edit", args{"path": "output/report.md", "old": "unknown", "new": "525"}, ""},
		{"files_read", args{"path": "output/report.md"}, "The total is 525."},
		{"files_write", args{"path": "store/log.txt", "content": "first\n"}, ""},
		{"files_list", args{"path": "output"}, "report.md"},
		{"files_read", args{"path": "upload/sales.csv"}, "day,amount"},
	}
	for _, c := range calls {
		r, err := p.agent.call(ctx, p.session, c.tool, c.args)
		if err != nil {
			return fmt.Errorf("%s: %w", c.tool, err)
		}
		if r.IsError || !strings.Contains(r.text(), c.want) {
			return fmt.Errorf("%s answered: %s", c.tool, r.text())
		}
		say("%s %v", c.tool, c.args["path"])
	}
	refusals := []struct {
		tool string
		args args
		rule string
	}{
		{"files_write", args{"path": "upload/sales.csv", "content": "x"}, "upload is read-only"},
		{"files_write", args{"path": "store/log.txt", "content": "changed"}, "store is append-only"},
		{"files_edit", args{"path": "store/log.txt", "old": "first", "new": "second"}, "store is append-only"},
	}
	for _, c := range refusals {
		_, err := p.agent.call(ctx, p.session, c.tool, c.args)
		if err := expect(err, "permission_denied", c.rule); err != nil {
			return fmt.Errorf("%s %v: %w", c.tool, c.args["path"], err)
		}
	}
	b, err := p.agent.bytes(ctx, http.MethodGet, p.file("store/log.txt"), nil)
	if err == nil && string(b) != "first\n" {
		err = fmt.Errorf("store/log.txt was changed: %q", b)
	}
	return err
}

// expect checks that err is a problem of a code whose text has every word, and
// shows it.
func expect(err error, code string, words ...string) error {
	var p *problem
	if !errors.As(err, &p) {
		return fmt.Errorf("a refusal was expected, not %v", err)
	}
	text := p.Detail + " " + p.Hint + " " + p.Grant
	for _, w := range words {
		if p.Code != code || !strings.Contains(text, w) {
			return fmt.Errorf("a refusal %s with %q was expected, not: %v (hint: %s; grant: %s)", code, w, p, p.Hint, p.Grant)
		}
	}
	say("refused: %s", p.Detail)
	if p.Hint != "" {
		say("         hint: %s", p.Hint)
	}
	return nil
}

func (p *play) meetRefusals(ctx context.Context) error {
	_, err := p.agent.call(ctx, p.session, "hello_greet", args{"name": "world"})
	if err := expect(err, "permission_denied", "hello", "sallyport plugin allow"); err != nil {
		return err
	}
	_, err = p.agent.call(ctx, p.session, "echo_call", args{})
	if err := expect(err, "permission_denied", "echo"); err != nil {
		return err
	}
	if n := strings.Count(err.Error(), "sha256:"); n != 2 {
		return fmt.Errorf("the refusal names %d digests, not both: %w", n, err)
	}
	_, err = p.agent.call(ctx, p.session, "ungranted_run", args{"code": "1+1"})
	return expect(err, "permission_denied", "kernel")
}

func (p *play) showAudit(ctx context.Context) error {
	var log struct {
		Entries []struct {
			Seq                        int
			Kind, Tool, Op, Code, Hash string
		}
	}
	if err := p.operator.json(ctx, http.MethodGet, "/v1/audit?limit=1000&session="+p.session, nil, &log); err != nil {
		return err
	}
	denied := 0
	for _, e := range log.Entries {
		if e.Code == "permission_denied" {
			denied++
		}
	}
	if denied < 8 {
		return fmt.Errorf("the audit log has %d refusals, not all", denied)
	}
	say("%d entries of this session, %d of them refusals; the last ones:", len(log.Entries), denied)
	for _, e := range log.Entries[max(0, len(log.Entries)-6):] {
		say("%5d %-14s %-14s %-15s %-18s %.12s…", e.Seq, e.Kind, e.Tool, e.Op, e.Code, e.Hash)
	}
	return nil
}
