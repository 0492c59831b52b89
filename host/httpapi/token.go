package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Role says what a token's holder may do.
type Role string

// Roles. An operator may do what an agent may, lists and ends every session,
// and sees plugins, status and audit.
const (
	RoleAgent    Role = "agent"
	RoleOperator Role = "operator"
)

// TokensFile is the name of the token file in the data directory.
const TokensFile = "tokens.json"

// A Token as it is stored: the secret is kept as its SHA-256 only, which is
// enough for a secret of 130 random bits.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Hash    string    `json:"hash"` // hex
	Created time.Time `json:"created"`
}

// Principal names the token's holder in the audit log and as a session's owner.
// The zero Token's is empty.
func (t Token) Principal() string {
	if t.ID == "" {
		return ""
	}
	return string(t.Role) + ":" + t.Name + ":" + t.ID
}

const tokenPrefix = "spt_"

// CreateToken makes a token, adds its hash to the file and returns the secret,
// which nothing can show again. A host that serves from the file takes the
// token at once. It may be called by several processes.
func CreateToken(file string, role Role, name string) (secret string, t Token, err error) {
	if role != RoleAgent && role != RoleOperator {
		return "", Token{}, abi.Errorf(abi.CodeInvalidArgument, "role is %q: use agent or operator", role)
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == ':' || r > '~' }) {
		return "", Token{}, abi.Errorf(abi.CodeInvalidArgument, "token name is %q: use 1 to 64 printable ASCII characters without a colon", name)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", Token{}, fmt.Errorf("tokens: %w", err)
	}
	lock, err := os.OpenFile(file+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", Token{}, fmt.Errorf("tokens: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", Token{}, fmt.Errorf("tokens: %w", err)
	}
	tokens, err := readTokens(file)
	if err != nil {
		return "", Token{}, err
	}
	id := strings.ToLower(rand.Text()[:8])
	secret = tokenPrefix + id + "_" + rand.Text()
	t = Token{ID: id, Name: name, Role: role, Hash: hashOf(secret), Created: time.Now().UTC().Truncate(time.Second)}
	b, err := json.MarshalIndent(append(tokens, t), "", "  ")
	if err != nil {
		return "", Token{}, err
	}
	if err := os.WriteFile(file+".new", append(b, '\n'), 0o600); err != nil {
		return "", Token{}, fmt.Errorf("tokens: %w", err)
	}
	return secret, t, os.Rename(file+".new", file)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func readTokens(file string) ([]Token, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	var tokens []Token
	if err := json.Unmarshal(b, &tokens); err != nil {
		return nil, fmt.Errorf("tokens: %s: %w", file, err)
	}
	return tokens, nil
}

// tokens checks secrets against the file, which it reads again when it changes.
type tokens struct {
	file string

	mu    sync.Mutex
	stamp string
	list  []Token
}

// check returns the token of a secret. The comparison takes the same time for
// every token of the list.
func (ts *tokens) check(secret string) (Token, error) {
	list, err := ts.read()
	if err != nil {
		return Token{}, err
	}
	hash := []byte(hashOf(secret))
	var found *Token
	for i := range list {
		if subtle.ConstantTimeCompare(hash, []byte(list[i].Hash)) == 1 {
			found = &list[i]
		}
	}
	if found == nil || !slices.Contains([]Role{RoleAgent, RoleOperator}, found.Role) {
		return Token{}, abi.Errorf(abi.CodeUnauthenticated, "the token is not known to this host").
			WithHint("make one on the host with: sallyport token create --role agent")
	}
	return *found, nil
}

func (ts *tokens) read() ([]Token, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	stamp := "absent"
	if info, err := os.Stat(ts.file); err == nil {
		stamp = fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	}
	if stamp == ts.stamp {
		return ts.list, nil
	}
	list, err := readTokens(ts.file)
	if err != nil {
		return nil, err
	}
	ts.list, ts.stamp = list, stamp
	return list, nil
}
