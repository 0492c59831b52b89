package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/fetch"
)

// secretsDir is the folder of the data directory that holds the values of
// secrets, a file each. They are read at each use, so that a change of one takes
// effect at once, and never leave the host but in the header of a request.
const secretsDir = "secrets"

const maxSecretBytes = 16 << 10

// secret returns the value of a secret.
func (h *Host) secret(name string) (string, error) { return readSecret(h.data.path, name) }

func readSecret(dataDir, name string) (string, error) {
	if !abi.ValidSecretName(name) {
		return "", abi.Errorf(abi.CodeInvalidArgument, "%q is not the name of a secret", name).WithHint("use lower-case letters, digits, - and _")
	}
	dir, err := os.OpenRoot(filepath.Join(dataDir, secretsDir))
	if err != nil {
		return "", noSecret(name, err)
	}
	defer dir.Close()
	f, err := dir.Open(name)
	if err != nil {
		return "", noSecret(name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", noSecret(name, err)
	}
	return checkSecret(name, b)
}

// noSecret says nothing of paths: it is the plugin's to read.
func noSecret(name string, cause error) error {
	return abi.Errorf(abi.CodeUnavailable, "the host has no secret %q", name).
		WithHint("the operator sets it with: sallyport secret set %s", name).WithCause(cause)
}

// checkSecret returns a value that can stand in a header.
func checkSecret(name string, value []byte) (string, error) {
	s := strings.TrimRight(string(value), "\r\n")
	bad := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) || r > unicode.MaxASCII }
	switch {
	case s == "":
		return "", abi.Errorf(abi.CodeUnavailable, "the secret %q is empty", name).WithHint("set it with: sallyport secret set %s", name)
	case len(value) > maxSecretBytes:
		return "", abi.Errorf(abi.CodeUnavailable, "the secret %q has more than %d bytes", name, maxSecretBytes)
	case len(s) < fetch.MinSecretBytes:
		return "", abi.Errorf(abi.CodeUnavailable, "the secret %q has %d bytes, and %d are the least: a shorter one can't be kept out of what servers answer", name, len(s), fetch.MinSecretBytes).
			WithHint("set a longer one with: sallyport secret set %s", name)
	case strings.ContainsFunc(s, bad):
		return "", abi.Errorf(abi.CodeUnavailable, "the secret %q can't stand in a header: it has something else than printable ASCII in it", name)
	}
	return s, nil
}

// SetSecret keeps the value of a secret in a data directory, readable by this
// account alone. A host that runs there takes it at once. A value that can't
// stand in a header, or has less than fetch.MinSecretBytes, is invalid_argument.
func SetSecret(dataDir, name string, value []byte) error {
	if !abi.ValidSecretName(name) {
		return abi.Errorf(abi.CodeInvalidArgument, "%q is not the name of a secret", name).WithHint("use lower-case letters, digits, - and _")
	}
	s, err := checkSecret(name, value)
	if err != nil {
		e := *abi.AsError(err)
		e.Code = abi.CodeInvalidArgument
		return &e
	}
	dir := filepath.Join(dataDir, secretsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return abi.Errorf(abi.CodeUnavailable, "secrets can't be kept: %w", err).WithHint("choose another folder with --data-dir")
	}
	made, err := os.CreateTemp(dir, ".new-") // 0600
	if err != nil {
		return abi.Errorf(abi.CodeUnavailable, "secrets can't be kept: %w", err)
	}
	_, err = made.WriteString(s)
	if err = errors.Join(err, made.Close()); err == nil {
		err = os.Rename(made.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("secret %s: %w", name, err), os.Remove(made.Name()))
	}
	return nil
}

// Secrets lists the names of the secrets that a data directory keeps.
func Secrets(dataDir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dataDir, secretsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, abi.Errorf(abi.CodeUnavailable, "secrets can't be listed: %w", err)
	}
	names := []string{}
	for _, e := range entries {
		if abi.ValidSecretName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// RemoveSecret forgets a secret.
func RemoveSecret(dataDir, name string) error {
	if !abi.ValidSecretName(name) {
		return abi.Errorf(abi.CodeInvalidArgument, "%q is not the name of a secret", name).WithHint("use lower-case letters, digits, - and _")
	}
	err := os.Remove(filepath.Join(dataDir, secretsDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return abi.Errorf(abi.CodeNotFound, "there is no secret %q", name).WithHint("sallyport secret list shows those there are")
	}
	return err
}
