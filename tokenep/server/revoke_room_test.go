package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// small is a Change: the store has room for 2,000 records, and is at store.
func small(at **memory.Store) tokeneptest.Change {
	return func(c *server.Config) {
		*at = memory.New(memory.Options{Max: 2000, Now: c.Now})
		c.Store = *at
	}
}

// Whoever exchanges an API token and revokes what comes of it, without end, takes up a bounded room
// in the store. What was revoked stays so; older tokens of the same holder may end with it, and
// those of others never do.
func TestRevokeWithoutEnd(t *testing.T) {
	var kept *memory.Store
	f := tokeneptest.New(t, small(&kept))
	text, made := f.NewAPIToken(t, anyToken)
	ofClient := f.Issued(t, redeem(text).By("billing"))
	revoked, most := map[string]string{}, 0
	for i := range 5000 {
		// It may be issued in a second until which everything is revoked.
		token := f.Send(t, redeem(text)).AccessToken()
		a := f.Send(t, post("token", token).At(revokePath))
		if a.Status != http.StatusOK {
			t.Fatalf("revocation %d: %d %s", i, a.Status, a.Body)
		}
		if _, err := f.Verify(t, token); err == nil {
			t.Fatalf("revocation %d: the token is good", i)
		}
		revoked[fmt.Sprint(i)] = token
		if i%2 == 0 {
			f.Clock.Advance(time.Second)
		}
		most = max(most, revocations(t, kept))
	}
	t.Logf("%d entries at the most", most)
	if most > 500 {
		t.Errorf("%d entries in the log", most)
	}
	for i, token := range revoked {
		if _, err := f.Verify(t, token); err == nil {
			t.Errorf("token %s, which was revoked, is good again", i)
		}
	}
	if _, err := f.Verify(t, ofClient); err != nil {
		t.Errorf("the token that a client got for the same API token: %v", err)
	}
	f.Clock.Advance(time.Second)
	if _, err := f.Verify(t, f.Issued(t, redeem(text))); err != nil {
		t.Errorf("the next token: %v", err)
	}
	if err := f.APITokens.Revoke(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Verify(t, ofClient); err == nil {
		t.Error("a token of a revoked API token is good")
	}
}

// revocations returns how many entries the log has.
func revocations(t *testing.T, s store.Store) (n int) {
	after := ""
	for {
		page, err := s.List(t.Context(), "revocation", "", after, store.MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return n
		}
		n, after = n+len(page), page[len(page)-1].ID
	}
}

// An administrator can revoke when the store is full.
func TestRevokeWhileTheStoreIsFull(t *testing.T) {
	var kept *memory.Store
	f := tokeneptest.New(t, small(&kept))
	text, made := f.NewAPIToken(t, anyToken)
	bare, ofClient, single := f.Issued(t, redeem(text)), f.Issued(t, plain.By("billing")), f.Issued(t, plain.By("reports"))
	verified, err := f.Verify(t, single)
	if err != nil {
		t.Fatal(err)
	}
	var full error
	for i := 0; full == nil; i++ {
		full = kept.Insert(t.Context(), store.Record{Kind: "filler", ID: fmt.Sprint(i)})
	}
	if !errors.Is(full, store.ErrUnavailable) {
		t.Fatal(full)
	}
	f.Send(t, post("token", ofClient).By("billing").At(revokePath)).Refused(t, http.StatusServiceUnavailable, tokenep.TemporarilyUnavailable)
	for name, row := range map[string]struct {
		revoke func() error
		token  string
	}{
		"an API token": {func() error { return f.APITokens.Revoke(t.Context(), made.ID, "") }, bare},
		"a client":     {func() error { return f.RevokeClient(t.Context(), "billing") }, ofClient},
		"a token":      {func() error { return f.RevokeToken(t.Context(), verified.ID, verified.Expires) }, single},
	} {
		if err := row.revoke(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.Verify(t, row.token); err == nil {
			t.Errorf("%s: its token is still good", name)
		}
	}
	if err := f.Revocations.Follow(t.Context()); err != nil {
		t.Errorf("the log cannot be followed: %v", err)
	}
}
