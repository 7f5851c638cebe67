package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// keyFile is a FileKeys with its file, clock and log.
type keyFile struct {
	*verify.FileKeys
	path  string
	clock *verifytest.Clock
	log   bytes.Buffer
}

func newKeyFile(t *testing.T) *keyFile {
	f := &keyFile{path: filepath.Join(t.TempDir(), "jwks.json"), clock: newClock()}
	logger := slog.New(slog.NewTextHandler(&f.log, nil))
	f.FileKeys = verify.NewFileKeys(f.path, verify.FileKeysOptions{Now: f.clock.Now, Logger: logger})
	return f
}

func (f *keyFile) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *keyFile) expect(t *testing.T, kid string, want error) {
	t.Helper()
	if _, err := f.Key(t.Context(), kid, "ES256"); !errors.Is(err, want) {
		t.Errorf("kid %s: got %v, want %v", kid, err, want)
	}
}

func keySetOf(kids ...string) string {
	for i, kid := range kids {
		kids[i] = fmt.Sprintf(`{"kid":%q,%s}`, kid, p256Point)
	}
	return `{"keys":[` + strings.Join(kids, ",") + `]}`
}

// Keys in a file that is missing, appears, changes, breaks and is removed.
func TestFileKeys(t *testing.T) {
	f := newKeyFile(t)
	f.expect(t, "a", verify.ErrUnavailable) // not there yet
	if err := f.Load(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of nothing: %v", err)
	}
	f.write(t, keySetOf("a"))
	f.expect(t, "a", verify.ErrUnavailable)
	f.clock.Advance(5 * time.Second)
	f.expect(t, "a", nil)

	f.write(t, keySetOf("b"))
	f.clock.Advance(4 * time.Second)
	f.expect(t, "a", nil) // not looked at yet
	f.clock.Advance(time.Second)
	f.expect(t, "a", verify.ErrUnknownKey) // withdrawn
	f.expect(t, "b", nil)

	for _, broken := range []string{"", "{", `{"keys":[{"kty":"oct","k":"AA"}]}`, keySetOf("c")[:30], keySetOf("c") + strings.Repeat(" ", 1<<20)} {
		f.write(t, broken)
		f.clock.Advance(5 * time.Second)
		f.expect(t, "b", nil) // the last good version stands
	}
	before := strings.Count(f.log.String(), "level=ERROR")
	for range 3 {
		f.clock.Advance(5 * time.Second)
		f.expect(t, "b", nil)
	}
	if after := strings.Count(f.log.String(), "level=ERROR"); before == 0 || after != before {
		t.Errorf("one problem was logged %d times:\n%s", after-before+1, &f.log)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(5 * time.Second)
	f.expect(t, "b", nil)
	f.write(t, `{"keys":[]}`)
	f.clock.Advance(5 * time.Second)
	f.expect(t, "b", verify.ErrUnknownKey) // all withdrawn
}

func TestFileKeysLoad(t *testing.T) {
	for text, good := range map[string]bool{
		keySetOf("a"): true, `{"keys":[]}`: false, `{"keys":[{"kty":"PQC"}]}`: false, "junk": false, "": false,
	} {
		f := newKeyFile(t)
		f.write(t, text)
		if err := f.Load(); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The log says that a file has changed when it has, however often it is read.
func TestFileThatIsUnchangedIsNotLogged(t *testing.T) {
	f := newKeyFile(t)
	for changes, content := range []string{keySetOf("a"), keySetOf("a", "b"), keySetOf("a")} {
		f.write(t, content)
		for range 3 {
			f.clock.Advance(5 * time.Second)
			f.expect(t, "a", nil)
		}
		if n := strings.Count(f.log.String(), "key set file has changed"); n != changes {
			t.Errorf("after %d changes, %d are logged:\n%s", changes, n, &f.log)
		}
	}
}

// A key that is no longer in the file is withdrawn at once, also for cached tokens. So is a key
// whose kid now belongs to another key.
func TestKeyWithdrawn(t *testing.T) {
	f := newKeyFile(t)
	issuer, successor := verifytest.New(testIssuer, testAPI), verifytest.New(testIssuer, testAPI)
	issuer.Now, successor.Now = f.clock.Now, f.clock.Now
	v := newVerifier(t, issuer, func(c *verify.Config) {
		c.Cache = verify.NewCache(10, f.clock.Now)
		c.Issuers[0].Keys = f
	})
	old := issuer.Sign(nil)
	f.write(t, string(issuer.JWKS()))
	expect(t, v, old, "ok")
	expect(t, v, old, "ok")
	f.write(t, string(successor.JWKS())) // the same kid
	f.clock.Advance(5 * time.Second)
	expect(t, v, old, verify.InvalidToken)
	expect(t, v, successor.Sign(nil), "ok")
}

// One caller reads the file, and the others go on. Run with -race.
func TestFileKeysConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, []byte(keySetOf("a")), 0o600); err != nil {
		t.Fatal(err)
	}
	f := verify.NewFileKeys(path, verify.FileKeysOptions{Every: 1})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				if _, err := f.Key(t.Context(), "a", "ES256"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
