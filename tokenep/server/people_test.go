package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// person is a user with one of everything: a session, a refresh token, an access token and an API
// token.
type person struct {
	s                         *tokeneptest.Server
	browser                   *tokeneptest.Browser
	refresh, access, apiToken string
}

func newPerson(t *testing.T, s *tokeneptest.Server, name string) *person {
	t.Helper()
	p := &person{s: s, browser: s.Browser()}
	p.browser.Open(t, tokeneptest.Authorize("site").Path)
	a := p.browser.SignIn(t, name)
	if a.Status == http.StatusOK {
		a = p.browser.Submit(t, "allow")
	}
	got := s.Send(t, tokeneptest.RedeemCode("site", a.Redirected(t, tokeneptest.Callback).Get("code")))
	p.refresh, p.access = got.RefreshToken(), got.AccessToken()
	p.apiToken, _ = s.NewAPIToken(t, state.APIToken{Owner: name})
	return p
}

// has reports what a person still has.
func (p *person) has(t *testing.T) (all []string) {
	t.Helper()
	if _, err := p.s.Verifier.Verify(t.Context(), verify.Presentation{Token: p.access}); err == nil {
		all = append(all, "access")
	}
	for name, r := range map[string]tokeneptest.Request{
		"api": tokeneptest.ExchangeAPIToken(p.apiToken), "refresh": tokeneptest.Refresh("site", p.refresh),
	} {
		a := p.s.Send(t, r)
		if a.Status == http.StatusOK {
			all = append(all, name)
			continue
		}
		want := tokenep.InvalidGrant
		if name == "api" { // RFC 8693 §2.2.2
			want = tokenep.InvalidRequest
		}
		a.Refused(t, http.StatusBadRequest, want)
	}
	if p.browser.Open(t, tokeneptest.Authorize("site", "prompt", "none").Path).Redirected(t, tokeneptest.Callback).Get("error") != "login_required" {
		all = append(all, "session")
	}
	return all
}

func (p *person) mustHave(t *testing.T, when string, want ...string) {
	t.Helper()
	got := strings.Join(p.has(t), " ")
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s: has %q, want %q", when, got, want)
		}
	}
	if len(want) == 0 && got != "" {
		t.Errorf("%s: has %q, want nothing", when, got)
	}
}

func newPeople(t *testing.T) (*tokeneptest.Server, *tokeneptest.People) {
	t.Helper()
	people := tokeneptest.NewPeople("ann", "bob")
	return tokeneptest.New(t, tokeneptest.WithPeople, people.SignIn), people
}

// Who is disabled gets nothing, and has it again when enabled, but for what ended by it.
func TestDisableUser(t *testing.T) {
	s, _ := newPeople(t)
	ann, bob := newPerson(t, s, "ann"), newPerson(t, s, "bob")
	ann.mustHave(t, "before", "access", "api", "refresh", "session")
	if err := s.DisableUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	ann.mustHave(t, "disabled")
	s.Send(t, tokeneptest.Post("subject_token", ann.apiToken, "grant_type", grant.TokenExchangeType).At(tokeneptest.PhrasePath)).
		Refused(t, http.StatusBadRequest, tokenep.InvalidGrant) // a dialect
	for _, token := range []string{ann.refresh, ann.access} {
		if a := s.Send(t, tokeneptest.Post("token", token).At("/oauth/introspect").By("site")); a.JSON["active"] != false {
			t.Errorf("introspection: %s", a.Body)
		}
	}
	bob.mustHave(t, "ann is disabled", "access", "api", "refresh", "session")
	b := s.Browser()
	b.Open(t, tokeneptest.SignInPath)
	if a := b.SignIn(t, "ann"); a.Status != http.StatusForbidden {
		t.Errorf("signing in: %d, want 403", a.Status)
	}
	s.Clock.Advance(365 * 24 * time.Hour)
	if err := s.DisableUser(t.Context(), "ann"); err != nil { // again
		t.Fatal(err)
	}
	if err := s.EnableUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(2 * time.Second) // iat has whole seconds
	again := newPerson(t, s, "ann")
	again.mustHave(t, "enabled", "access", "api", "refresh", "session")
}

func TestEnableUserBringsBackWhatDidNotEnd(t *testing.T) {
	s, _ := newPeople(t)
	ann := newPerson(t, s, "ann")
	if err := errors.Join(s.DisableUser(t.Context(), "ann"), s.EnableUser(t.Context(), "ann")); err != nil {
		t.Fatal(err)
	}
	ann.mustHave(t, "enabled", "api", "refresh")
	if got := strings.Join(ann.has(t), " "); strings.Contains(got, "session") || strings.Contains(got, "access") {
		t.Errorf("has %q, want neither the session nor the access token", got)
	}
}

// RevokeUser ends everything, and bars nobody.
func TestRevokeUser(t *testing.T) {
	s, _ := newPeople(t)
	ann, bob := newPerson(t, s, "ann"), newPerson(t, s, "bob")
	s.Clock.Advance(time.Second)
	if err := s.RevokeUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	ann.mustHave(t, "revoked")
	bob.mustHave(t, "ann is revoked", "access", "api", "refresh", "session")
	s.Clock.Advance(2 * time.Second)
	again := newPerson(t, s, "ann")
	again.mustHave(t, "signed in again", "access", "api", "refresh", "session")
	ann.mustHave(t, "ann has signed in again")
}

// A source that can be asked says who is gone: no token any more, and those that there are end.
func TestUserWhoIsGone(t *testing.T) {
	s, people := newPeople(t)
	ann := newPerson(t, s, "ann")
	people.Remove("ann")
	ann.mustHave(t, "gone just now", "access", "api", "refresh", "session")
	s.Clock.Advance(tokenep.DefaultRecheck)
	if got := strings.Join(ann.has(t), " "); got != "access" { // it was looked at first
		t.Errorf("has %q, want nothing but the access token", got)
	}
	ann.mustHave(t, "and then")
}

// While nobody knows whether somebody is gone, the answer is 503: no client throws a credential
// away.
func TestUserOfWhomNobodyKnows(t *testing.T) {
	s, people := newPeople(t)
	ann := newPerson(t, s, "ann")
	s.Clock.Advance(tokenep.DefaultRecheck)
	people.Away(errors.New("away"))
	a := s.Send(t, tokeneptest.Refresh("site", ann.refresh))
	a.Refused(t, http.StatusServiceUnavailable, tokenep.TemporarilyUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	people.Away(nil)
	ann.mustHave(t, "known again", "access", "api", "refresh", "session")
}

// Each refusal of somebody who is gone is written down once, however often it is asked for.
func TestUserWhoIsGoneIsNotedOnce(t *testing.T) {
	s, people := newPeople(t)
	ann := newPerson(t, s, "ann")
	people.Remove("ann")
	s.Clock.Advance(tokenep.DefaultRecheck)
	for range 20 {
		s.Send(t, tokeneptest.Refresh("site", ann.refresh)).Refused(t, http.StatusBadRequest, tokenep.InvalidGrant)
		s.Clock.Advance(10 * time.Millisecond)
	}
	if entries, err := s.Store.List(t.Context(), "revocation", "", "", 100); err != nil || len(entries) > 2 {
		t.Errorf("%d entries in the log of revocations, %v", len(entries), err)
	}
}

// What another node issued before it has heard that somebody is disabled ends as well.
func TestDisableUserOnAnotherNode(t *testing.T) {
	one, people := newPeople(t)
	c := tokeneptest.Config(one.Store, one.Clock.Now)
	c.RevocationInterval = time.Second
	tokeneptest.WithPeople(&c)
	people.SignIn(&c)
	two := one.Next(t, c)
	if err := two.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ann := newPerson(t, one, "ann")
	two.Send(t, tokeneptest.ExchangeAPIToken(ann.apiToken)) // she is known there
	now := one.Clock.Now()
	one.Clock.Advance(now.Truncate(time.Second).Add(1900 * time.Millisecond).Sub(now))
	if err := one.DisableUser(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	one.Clock.Advance(200 * time.Millisecond) // the next second of iat
	a := two.Send(t, tokeneptest.ExchangeAPIToken(ann.apiToken))
	one.Clock.Advance(time.Minute)
	if err := two.Revocations.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusOK {
		return // it has heard of it
	}
	for _, node := range []*tokeneptest.Server{one, two} {
		if _, err := node.Verifier.Verify(t.Context(), verify.Presentation{Token: a.AccessToken()}); err == nil {
			t.Error("a minute after the user was disabled, the token is good")
		}
	}
}
