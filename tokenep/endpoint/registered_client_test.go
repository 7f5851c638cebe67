package endpoint_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// registered registers a client, and returns its id and secret.
func registered(t *testing.T, s *tokeneptest.Server, members string) (id, secret string) {
	t.Helper()
	a := s.Send(t, register(document(members)))
	id, _ = a.JSON["client_id"].(string)
	secret, _ = a.JSON["client_secret"].(string)
	if a.Status != 201 || id == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		t.Errorf("client_id %s", id)
	}
	return id, secret
}

// askFor is the authorization request of a registered client.
func askFor(id string) request {
	return tokeneptest.Authorize(id, "redirect_uri", "https://a.app.example/cb")
}

// RFC 7591 §2: a client that said nothing of its method authenticates by Basic or in the body, and
// one that said it, by that alone. The user is told that nobody knows it.
func TestRegisteredClientActs(t *testing.T) {
	s := tokeneptest.New(t, registering)
	for _, row := range []struct {
		name, members string
		basic, body   bool
	}{
		{"nothing said", `"client_name":"Photos","client_uri":"https://photos.example"`, true, true},
		{"Basic", `"client_name":"Photos","token_endpoint_auth_method":"client_secret_basic"`, true, false},
		{"the body", `"client_name":"Photos","token_endpoint_auth_method":"client_secret_post"`, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			id, secret := registered(t, s, row.members)
			page := string(s.Send(t, askFor(id)).Body)
			if !strings.Contains(page, "registered itself") || !strings.Contains(page, "Photos") ||
				strings.Contains(page, "belongs to https://photos.example") != strings.Contains(row.members, "client_uri") {
				t.Error(page)
			}
			for method, good := range map[string]bool{"basic": row.basic, "body": row.body} {
				code := s.Send(t, s.Consent(t, askFor(id), "allow")).Redirected(t, "https://a.app.example/cb").Get("code")
				form := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", "https://a.app.example/cb", "code_verifier", tokeneptest.Verifier}
				r := post(form...).Basic(id, secret)
				if method == "body" {
					r = post(append(form, "client_id", id, "client_secret", secret)...)
				}
				if !good {
					s.Send(t, r).Refused(t, 401, tokenep.InvalidClient)
					continue
				}
				if _, token := s.Granted(t, r); token.ClientID != id || !slices.Equal(token.Audience, []string{tokeneptest.Orders}) {
					t.Errorf("%+v", token)
				}
			}
			silent := tokeneptest.Authorize(id, "redirect_uri", "https://a.app.example/cb", "prompt", "none")
			if got := s.Send(t, silent).Redirected(t, "https://a.app.example/cb").Get("error"); got != "consent_required" {
				t.Errorf("asked again, it gets %q", got)
			}
		})
	}
	if page := string(s.Send(t, tokeneptest.Authorize("site")).Body); strings.Contains(page, "registered itself") {
		t.Error(page)
	}
}

// What a registered client gets ends with its registration; what people have allowed it, with that
// as well, and alone.
func TestTokensOfARegistrationEnd(t *testing.T) {
	s := tokeneptest.New(t, registering)
	id, secret := registered(t, s, `"grant_types":["authorization_code","client_credentials"]`)
	c, err := s.Clients.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	allowed := func() (text string, token *verify.Token) {
		code := s.Send(t, s.Consent(t, askFor(id), "allow")).Redirected(t, "https://a.app.example/cb").Get("code")
		a, token := s.Granted(t, post("grant_type", "authorization_code", "code", code, "redirect_uri", "https://a.app.example/cb",
			"code_verifier", tokeneptest.Verifier).Basic(id, secret))
		return a.AccessToken(), token
	}
	own, self := s.Granted(t, plain.Basic(id, secret))
	first, token := allowed()
	second, _ := allowed()
	if self.GrantID != c.RegistrationID || len(self.Ancestors) > 0 {
		t.Errorf("its own token came of %q and %v", self.GrantID, self.Ancestors)
	}
	if token.GrantID == c.RegistrationID || len(token.Ancestors) != 1 || token.Ancestors[0].GrantID != c.RegistrationID {
		t.Errorf("what a person has allowed it came of %q and %v", token.GrantID, token.Ancestors)
	}
	good := func() (good string) {
		for name, text := range map[string]string{"own": own.AccessToken(), "first": first, "second": second} {
			if _, err := s.Verify(t, text); err == nil {
				good += " " + name
			}
		}
		return good
	}
	s.Clock.Advance(time.Minute)
	if err := s.RevokeGrant(t.Context(), token.GrantID); err != nil {
		t.Fatal(err)
	}
	if got := good(); strings.Contains(got, "first") || !strings.Contains(got, "own") || !strings.Contains(got, "second") {
		t.Errorf("once the first is revoked, good are%s", got)
	}
	if err := s.Clients.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := good(); got != "" {
		t.Errorf("once the client is removed, good are%s", got)
	}
}

// A registration that nobody uses ends. The first use keeps it, and is one write.
func TestUnusedRegistrationEnds(t *testing.T) {
	s := tokeneptest.New(t, registering)
	lost, _ := registered(t, s, "")
	asked, _ := registered(t, s, "")
	used, _ := registered(t, s, "")
	self, secret := registered(t, s, `"grant_types":["client_credentials"]`)
	page := s.Consent(t, askFor(asked), "allow")
	_ = s.Send(t, s.Consent(t, askFor(used), "allow")).Redirected(t, "https://a.app.example/cb")
	own := plain.Basic(self, secret)
	writes := func(r request) int64 {
		before := s.Store.Writes()
		s.Granted(t, r)
		return s.Store.Writes() - before
	}
	if first, second := writes(own), writes(own); first != 1 || second != 0 {
		t.Errorf("%d writes, and then %d; want 1 and 0", first, second)
	}
	s.Clock.Advance(30*24*time.Hour - time.Second)
	if a := s.Send(t, askFor(lost)); a.Status != 200 {
		t.Errorf("before its end: %d %s", a.Status, a.Body)
	}
	s.Clock.Advance(time.Second)
	for id, status := range map[string]int{lost: 400, asked: 400, used: 200} {
		if a := s.Send(t, askFor(id)); a.Status != status {
			t.Errorf("%d %s, want %d", a.Status, a.Body, status)
		}
	}
	if a := s.Send(t, page); a.Status != 400 {
		t.Errorf("the page of a registration that has ended: %d %s", a.Status, a.Body)
	}
	s.Granted(t, own)
}
