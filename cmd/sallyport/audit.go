package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/audit"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "show the audit log, or check that it is whole",
		Long: `Audit shows who did what: each entry has its number, its time and what it tells.
With --verify it checks the chain of hashes from the first entry to the last, and
prints the last one's number and hash: note them elsewhere, and a later check can
tell whether the end was cut off. Both work beside a running host.`,
		Example: `  sallyport audit -n 20
  sallyport audit --session 3kq… --json
  sallyport audit --verify`,
		Args: exactly(),
	}
	last := cmd.Flags().StringP("last", "n", "50", "entries to show, the newest; 0 is all")
	session := cmd.Flags().String("session", "", "show this session's alone")
	asJSON := cmd.Flags().Bool("json", false, "print the entries as JSON, one a line")
	verify := cmd.Flags().Bool("verify", false, "check the chain, and show no entries")
	addSettings(cmd, "data_dir")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		n, err := strconv.Atoi(*last)
		if err != nil || n < 0 {
			return usageError{fmt.Errorf("--last is %q: use a whole number, 0 or more", *last)}
		}
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		f, err := os.Open(filepath.Join(cfg.DataDir, host.AuditFile))
		if err != nil {
			return abi.Errorf(abi.CodeNotFound, "there is no audit log: %v", err).WithHint("name the host's folder with --data-dir")
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if *verify {
			return verifyAudit(cmd.OutOrStdout(), f)
		}
		return showAudit(cmd.OutOrStdout(), f, *session, n, *asJSON)
	}
	return cmd
}

func verifyAudit(w io.Writer, log io.Reader) error {
	s, err := audit.Verify(log)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d entries are whole; the last is %d, %s\n", s.Entries, s.LastSeq, s.LastHash)
	return err
}

// showAudit prints the last entries, in the order they were written.
func showAudit(w io.Writer, log *os.File, session string, last int, asJSON bool) error {
	info, err := log.Stat()
	if err != nil {
		return err
	}
	var kept []audit.Entry
	for e, err := range audit.Newest(log, info.Size(), audit.Filter{Session: session}) {
		if err != nil {
			return err
		}
		if kept = append(kept, e); len(kept) == last {
			break
		}
	}
	for _, e := range slices.Backward(kept) {
		if asJSON {
			err = printJSONLine(w, e)
		} else {
			_, err = fmt.Fprintln(w, printable(auditLine(e)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// target says what an entry is about: where a request went, with its path if
// that is known, or the path of a file, or the tool that was called.
func target(detail map[string]string) string {
	if detail["host"] == "" {
		return cmp.Or(detail["path"], detail["tool"])
	}
	return detail["scheme"] + "://" + net.JoinHostPort(detail["host"], detail["port"]) + detail["path"]
}

// auditLine says of an entry when it was, whose, and what.
func auditLine(e audit.Entry) string {
	what := e.Tool
	if e.Op != "" {
		what += " " + e.Op
	}
	if e.Kind == audit.KindEgress {
		what = e.Plugin
	}
	for _, part := range []string{e.Detail["method"], target(e.Detail)} {
		if part != "" {
			what += " " + part
		}
	}
	outcome := e.Code
	if e.Message != "" {
		outcome += ": " + e.Message
	}
	return fmt.Sprintf("%6d %s %-14s %-24s %s %s", e.Seq, e.Time.Format("2006-01-02T15:04:05Z"), e.Kind, e.Principal, what, outcome)
}
