package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// until waits for something that happens in the background.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// What takes a slow hash holds nothing else up, and is bounded.
func TestLeakedSlowHashesHoldNothingUp(t *testing.T) {
	hash := "$2b$10$" + strings.Repeat("s", 53)
	var comparisons atomic.Int64
	proceed := make(chan struct{})
	f := tokeneptest.New(t, func(c *server.Config) {
		pattern, err := state.ParseTokenPattern(`key_(?P<id>[0-9]+)_[a-z0-9]+`)
		if err != nil {
			t.Fatal(err)
		}
		rules := *c.Exchange.APITokens
		rules.Patterns, rules.AllowNever = []state.TokenPattern{pattern}, true
		c.Exchange.APITokens = &rules
		c.CompareHash = func(_, secret []byte) (bool, error) {
			comparisons.Add(1)
			<-proceed
			return string(secret) == "key_7_right", nil
		}
	})
	owned := state.APIToken{Owner: "alice", Service: tokeneptest.Orders}
	salted, _, err := f.APITokens.Import(t.Context(), state.ImportedAPIToken{Name: "7", Hash: hash, APIToken: owned})
	if err != nil {
		t.Fatal(err)
	}
	digested, _, err := f.APITokens.Import(t.Context(), state.ImportedAPIToken{Token: "key_8_right", APIToken: owned})
	if err != nil {
		t.Fatal(err)
	}
	ours, made := f.NewAPIToken(t, anyToken)
	report := []string{"key_7_right"}
	for i := range 900 {
		report = append(report, fmt.Sprint("key_7_wrong", i))
	}
	accepted(t, leak(t, f, report...))
	until(t, "no slow hash", func() bool { return comparisons.Load() > 0 })
	accepted(t, leak(t, f, ours, "key_8_right"))
	revoked := func(id string) func() bool {
		return func() bool {
			got, err := f.APITokens.Load(t.Context(), id)
			return err == nil && got.Reason == state.ReasonLeaked
		}
	}
	until(t, "one of ours waits for slow hashes", revoked(made.ID))
	until(t, "an imported one with a digest waits for slow hashes", revoked(digested.ID))
	close(proceed)
	until(t, "the one with a slow hash is not revoked", revoked(salted.ID))
	until(t, "not all were looked at", func() bool { return strings.Contains(f.Log.String(), "left out") })
	time.Sleep(50 * time.Millisecond)
	if n := comparisons.Load(); n > 100 {
		t.Errorf("one report made the server compute %d slow hashes", n)
	}
}

// What was reported before a reload, and has not been looked at, is looked at after it. A
// configuration without API tokens passes over theirs.
func TestLeakedOverAReload(t *testing.T) {
	away := &tokeneptest.Store{Store: memory.New(memory.Options{Now: time.Now})}
	logged := new(tokeneptest.Log)
	c := tokeneptest.Config(away, time.Now)
	c.Logger = slog.New(slog.NewTextHandler(logged, nil))
	start := func() (f *tokeneptest.Server, stop func()) {
		f = tokeneptest.NewUnstarted(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		if err := f.Start(ctx); err != nil {
			t.Fatal(err)
		}
		return f, cancel
	}
	f, stop := start()
	text, made := f.NewAPIToken(t, anyToken)
	secret, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "nightly", GrantTypes: []string{cc}})
	if err != nil {
		t.Fatal(err)
	}
	away.SetAway(true)
	accepted(t, leak(t, f, text, text, secret))
	until(t, "it was not tried", func() bool { return strings.Contains(logged.String(), "tried again") })
	stop()
	c.Exchange.APITokens = nil
	next, stop := start()
	defer stop()
	away.SetAway(false)
	until(t, "the secret is good after the reload", func() bool {
		return next.Send(t, plain.Basic("nightly", secret)).Status == http.StatusUnauthorized
	})
	if got, err := f.APITokens.Load(t.Context(), made.ID); err != nil || !got.Revoked.IsZero() {
		t.Errorf("the API token: %+v, %v", got, err)
	}
}
