package upstream_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A file of credentials is read again when it changes, and a bad one changes nothing.
func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"alice": "alice:pw"}`)
	f := newFront(t, func(now func() time.Time) (finder, error) {
		table, err := upstream.NewTable(path, upstream.Basic, now, nil)
		if err != nil {
			return nil, err
		}
		return table.Credential, nil
	})
	alice, bob := f.issuer.Sign(nil), f.issuer.Sign(verifytest.Claims{"sub": "bob"})
	if got := f.get(t, alice); got != "Basic YWxpY2U6cHc=" {
		t.Errorf("alice got %q", got)
	}
	if got := f.get(t, bob); got != "403" {
		t.Errorf("bob got %q", got)
	}
	write(`{"bob": "bob:pw"}`)
	f.clock.Advance(2 * time.Second)
	if got := f.get(t, alice); got != "403" {
		t.Errorf("alice is gone, and got %q", got)
	}
	for _, bad := range []string{`{"alice": 1}`, `{"alice": ""}`, `{"": "a:b"}`, `{"a": "a:b", "a": "c:d"}`, `[]`, `{"a": "a:b"`, `{} {}`, `{"a": "no colon"}`} {
		write(bad)
		f.clock.Advance(2 * time.Second)
		if got := f.get(t, bob); got != "Basic Ym9iOnB3" {
			t.Errorf("%s: bob got %q", bad, got)
		}
		if _, err := upstream.NewTable(path, upstream.Basic, nil, nil); err == nil || strings.Contains(err.Error(), "a:b") {
			t.Errorf("%s: loaded, or shown: %v", bad, err)
		}
	}
}
