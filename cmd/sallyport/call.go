package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
)

// A caller calls tools of a running host.
type caller struct {
	base, token string
	session     string // "" is one made for the call
	asJSON      bool
	pictures    pictures // where to save them; none without a folder
	out, live   io.Writer
}

func newCall() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "call TOOL [JSON]",
		Short: "call a tool of a running host, as an agent does",
		Long: `Call runs one tool. What it prints while it runs goes to stderr as it comes, its
result to stdout. Without --session a session is made for the call and ended
after it, with its files.

The token is --token-file, or the environment variable SALLYPORT_TOKEN.`,
		Example: `  sallyport call python_run '{"code": "1+1"}'
  sallyport call files_list '{"path": "output"}' --session 3kq…
  echo '{"code": "print(2)"}' | sallyport call python_run -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError{fmt.Errorf("the arguments are TOOL and, if it takes any, JSON; %d are given", len(args))}
			}
			return nil
		},
	}
	at := cmd.Flags().String("url", "", "the host's address (default: http:// and the listen setting)")
	tokenFile := cmd.Flags().String("token-file", "", "file that holds the token")
	c := &caller{}
	cmd.Flags().StringVar(&c.session, "session", "", "session to call in")
	cmd.Flags().BoolVar(&c.asJSON, "json", false, "print the result as JSON")
	cmd.Flags().StringVar(&c.pictures.dir, "save", "", "folder to save pictures in; it is made if it isn't there")
	addSettings(cmd, "listen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		c.base, c.out, c.live = strings.TrimSuffix(*at, "/"), cmd.OutOrStdout(), cmd.ErrOrStderr()
		if c.base == "" {
			c.base = "http://" + cfg.Listen
		}
		if c.token, err = readToken(*tokenFile); err != nil {
			return err
		}
		arguments := []byte("{}")
		if len(args) == 2 {
			arguments = []byte(args[1])
		}
		if string(arguments) == "-" {
			if arguments, err = io.ReadAll(cmd.InOrStdin()); err != nil {
				return err
			}
		}
		return c.run(cmd.Context(), args[0], arguments)
	}
	return cmd
}

func readToken(file string) (string, error) {
	if file == "" {
		if token := os.Getenv("SALLYPORT_TOKEN"); token != "" {
			return token, nil
		}
		return "", abi.Errorf(abi.CodeUnauthenticated, "there is no token").
			WithHint("export SALLYPORT_TOKEN=$(sallyport token create --role agent), or name a file with --token-file")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", abi.Errorf(abi.CodeUnauthenticated, "the token can't be read: %v", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (c *caller) run(ctx context.Context, tool string, arguments []byte) (err error) {
	if c.session == "" {
		if err := c.makeSession(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.endSession(ctx)) }()
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/sessions/"+url.PathEscape(c.session)+"/tools/"+url.PathEscape(tool), arguments)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	result, err := c.follow(resp.Body)
	if err != nil {
		return err
	}
	return c.show(tool, result)
}

func (c *caller) makeSession(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodPost, "/v1/sessions", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var s struct{ ID string }
	err = json.NewDecoder(resp.Body).Decode(&s)
	c.session = s.ID
	return err
}

// endSession ends the session that was made, also after an interrupt.
func (c *caller) endSession(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	resp, err := c.do(ctx, http.MethodDelete, "/v1/sessions/"+c.session, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// do sends a request. An answer that is a problem document is its error.
func (c *caller) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, usageError{err}
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "the host can't be reached: %v", err).
			WithHint("start it with: sallyport serve; or name its address with --url")
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	var p struct {
		Code                       abi.Code
		Detail, Hint, Grant, Field string
	}
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("%s answered %s: is it a Sallyport host?", c.base, resp.Status)
	}
	return nil, &abi.Error{Code: p.Code, Message: p.Detail, Hint: p.Hint, Grant: p.Grant, Field: p.Field}
}

// follow reads the events, shows what comes, and returns the result.
func (c *caller) follow(events io.Reader) (*abi.Result, error) {
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 2*abi.MaxFrameBytes)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e abi.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return nil, fmt.Errorf("an event can't be read: %w", err)
		}
		switch {
		case e.Result != nil:
			return e.Result, nil
		case e.Error != nil:
			return nil, e.Error
		case e.Output != nil:
			fmt.Fprint(c.live, e.Output.Text)
		case e.Progress != nil:
			fmt.Fprintf(c.live, "%v of %v %s\n", e.Progress.Progress, e.Progress.Total, printable(e.Progress.Message))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("the stream broke: %w", err)
	}
	return nil, errors.New("the host ended the stream without a result")
}

// show prints a result; one that is an error fails the command.
func (c *caller) show(tool string, r *abi.Result) error {
	if c.asJSON {
		if err := printJSON(c.out, r); err != nil {
			return err
		}
	} else {
		for _, block := range r.Content {
			if err := c.showBlock(block); err != nil {
				return err
			}
		}
	}
	if r.IsError {
		return fmt.Errorf("%s says that it failed", tool)
	}
	return nil
}

func (c *caller) showBlock(b abi.Content) error {
	var err error
	switch {
	case b.Type == abi.ContentImage && c.pictures.dir != "":
		var path string
		if path, err = c.pictures.save(b); err == nil {
			_, err = fmt.Fprintln(c.out, "saved", path)
		}
	case b.Type == abi.ContentImage:
		_, err = fmt.Fprintf(c.out, "[%s of %d bytes; --save FOLDER keeps it]\n", printable(b.MIMEType), len(b.Data))
	case b.Type == abi.ContentLink:
		_, err = fmt.Fprintf(c.out, "[%s: %s]\n", printable(b.Name), printable(c.base+b.URI))
	default:
		_, err = fmt.Fprintln(c.out, strings.TrimSuffix(b.Text, "\n"))
	}
	return err
}
