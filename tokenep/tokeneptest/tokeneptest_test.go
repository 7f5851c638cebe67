package tokeneptest_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// Methods of a request return a copy: the one that they are called on can be used again.
func TestRequestsAreValues(t *testing.T) {
	r := tokeneptest.Post("a b", "c&d", "e", "")
	if r.Body != "a+b=c%26d&e=" || r.Path != tokeneptest.TokenPath || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%+v", r)
	}
	changed := r.By("billing").At("/x").With("Content-Type", "text/plain")
	if changed.Path != "/x" || changed.Header.Get("Content-Type") != "text/plain" || changed.Header.Get("Authorization") == "" {
		t.Errorf("%+v", changed)
	}
	if r.Path != tokeneptest.TokenPath || len(r.Header) != 1 || r.Header.Get("Content-Type") == "text/plain" {
		t.Errorf("the original was changed: %+v", r)
	}
}

// The store of a server can be away, and come back with what is in it.
func TestStore(t *testing.T) {
	s := tokeneptest.New(t)
	before := s.Store.Writes()
	text, _ := s.NewAPIToken(t, state.APIToken{})
	if s.Store.Writes() == before {
		t.Error("an API token was made, and no write counted")
	}
	redeem := tokeneptest.ExchangeAPIToken(text)
	s.Store.SetAway(true)
	s.Send(t, redeem).Refused(t, 503, tokenep.TemporarilyUnavailable)
	s.Store.SetAway(false)
	s.Granted(t, redeem)
}

// Tokens are dead when the clock of the server says so, and revoked tokens at once.
func TestTokens(t *testing.T) {
	s := tokeneptest.New(t)
	a, _ := s.Granted(t, tokeneptest.ClientCredentials().By("billing"))
	minted := s.Mint(t, tokenep.Claims{Subject: "bob"})
	if token, err := s.Verify(t, minted); err != nil || token.Subject != "bob" || token.ClientID != "billing" {
		t.Errorf("%+v, %v", token, err)
	}
	if err := s.RevokeSubject(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t, minted); err == nil {
		t.Error("a revoked token passes")
	}
	s.Clock.Advance(4*time.Hour - time.Second)
	if _, err := s.Verify(t, a.AccessToken()); err != nil {
		t.Error(err)
	}
	s.Clock.Advance(time.Second)
	if _, err := s.Verify(t, a.AccessToken()); err == nil {
		t.Error("an expired token passes")
	}
}

// Nothing but tests and this package imports it: it has secrets that anybody can read.
func TestOnlyTestsImportThis(t *testing.T) {
	const root = "../.."
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if base := entry.Name(); base == "tokeneptest" || base == "testdata" || strings.HasPrefix(base, ".") && name != root {
				return filepath.SkipDir
			}
			return nil
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			if strings.HasSuffix(spec.Path.Value, `/tokeneptest"`) {
				t.Errorf("%s imports tokeneptest, and is no test", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
