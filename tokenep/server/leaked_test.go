package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// leak reports credentials.
func leak(t *testing.T, f *tokeneptest.Server, credentials ...string) tokeneptest.Answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"credentials": credentials})
	if err != nil {
		t.Fatal(err)
	}
	return f.Send(t, tokeneptest.PostJSON(string(body)).At("/oauth/token/leaked"))
}

// accepted wants the answer that says nothing.
func accepted(t *testing.T, a tokeneptest.Answer) {
	t.Helper()
	if a.Status != http.StatusAccepted || len(a.Body) > 0 {
		t.Errorf("answered with %d %q, want 202 and nothing", a.Status, a.Body)
	}
}

// Whatever is reported, the answer is the same. What is live ends, soon; nothing else does.
func TestLeakedCredentialsEnd(t *testing.T) {
	f := tokeneptest.New(t)
	text, made := f.NewAPIToken(t, anyToken)
	kept, _ := f.NewAPIToken(t, anyToken)
	rolled, rolledMade := f.NewAPIToken(t, anyToken)
	_, _, err := f.APITokens.Roll(t.Context(), rolledMade.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "night.ly_1", GrantTypes: []string{"client_credentials"}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(secret, "cs_night.ly_1_") {
		t.Errorf("the secret of a client does not name it: %s", secret)
	}
	own := plain.Basic("night.ly_1", secret)
	issued := f.Issued(t, own)
	accepted(t, leak(t, f, text, rolled, secret, "junk", "", kept[:len(kept)-1]+"~", secret+"x"))
	for deadline := time.Now().Add(30 * time.Second); ; {
		got, err := f.APITokens.Load(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		if a := f.Send(t, own); !got.Revoked.IsZero() && a.Status == http.StatusUnauthorized {
			if got.Reason != state.ReasonLeaked {
				t.Errorf("revoked for the reason %q", got.Reason)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what was leaked is not revoked")
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := f.NewVerifier(t).Verify(t.Context(), verify.Presentation{Token: issued}); err == nil {
		t.Error("an access token of the client is good")
	}
	f.Send(t, redeem(text)).Refused(t, 400, tokenep.InvalidRequest)
	f.Granted(t, redeem(kept))
	if got, err := f.APITokens.Load(t.Context(), rolledMade.ID); err != nil || !got.Revoked.IsZero() {
		t.Errorf("a token whose old secret was leaked, which has ended: %+v, %v", got, err)
	}
}

// A report needs no login, and so there are limits: 60 in an hour from one address, a thousand
// credentials in one.
func TestLeakedHasLimits(t *testing.T) {
	f := tokeneptest.New(t, func(c *server.Config) { c.Memory = server.NewMemory(c.Now) })
	report := func(body string) tokeneptest.Answer {
		return f.Send(t, tokeneptest.PostJSON(body).At("/oauth/token/leaked"))
	}
	for _, bad := range []string{"", "[]", `{"credentials":"x"}`, `{"credentials":["` + strings.Repeat(`x","`, 1000) + `x"]}`} {
		report(bad).Refused(t, 400, tokenep.InvalidRequest)
	}
	report(`{"credentials":["`+strings.Repeat("x", 512<<10)+`"]}`).Refused(t, 413, tokenep.InvalidRequest)
	for range 55 {
		accepted(t, leak(t, f))
	}
	a := leak(t, f)
	a.Refused(t, http.StatusTooManyRequests, tokenep.TemporarilyUnavailable)
	if a.Header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After %q, want a minute", a.Header.Get("Retry-After"))
	}
}
