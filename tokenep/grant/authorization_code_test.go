package grant_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

var (
	redeemCode = tokeneptest.RedeemCode
	refresh    = tokeneptest.Refresh
)

// RFC 6749 §4.1.4: what the user allowed is in the access token and in the answer.
func TestAuthorizationCode(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	code := s.Code(t, "site", "scope", "read", "resource", orders)
	a, token := s.Granted(t, redeemCode("site", code))
	if token.Subject != "alice" || token.ClientID != "site" || token.Scope.String() != "read" || len(token.Audience) != 1 || token.Audience[0] != orders {
		t.Errorf("%+v", token)
	}
	if a.JSON["scope"] != "read" || a.RefreshToken() == "" || token.Claims["grant_id"] == nil {
		t.Errorf("%s", a.Body)
	}
	if a.JSON["refresh_token_timeout"] != 14*24*3600.0 || a.JSON["authorization_expires_in"] != 90*24*3600.0 {
		t.Errorf("the ends of the refresh token: %s", a.Body)
	}
	if strings.Contains(s.Log.String(), code) || strings.Contains(s.Log.String(), a.RefreshToken()) {
		t.Error("the log shows the code or the refresh token")
	}
}

// RFC 6749 §4.1.3 and §5.2, RFC 7636 §4.6: what is wrong with the request is refused, writes
// nothing, and leaves the code as good as before.
func TestAuthorizationCodeRules(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, tokeneptest.WithClients(
		other("other", grant.AuthorizationCodeType), other("idle", grant.RefreshTokenType)))
	site, native := s.Code(t, "site", "resource", orders), s.Code(t, "native", "resource", orders)
	code := func(pairs ...string) request { return redeemCode("site", site, pairs...) }
	s.Run(t, []rule{
		refuses("4.1.3: code missing", code("code", ""), 400, tokenep.InvalidRequest),
		refuses("4.1.3: unknown code", code("code", strings.Repeat("a", 43)), 400, tokenep.InvalidGrant),
		refuses("4.1.3: malformed code", code("code", "a code"), 400, tokenep.InvalidGrant),
		refuses("4.1.3: redirect_uri missing", code("redirect_uri", ""), 400, tokenep.InvalidGrant),
		refuses("4.1.3: redirect_uri with a slash", code("redirect_uri", tokeneptest.Callback+"/"), 400, tokenep.InvalidGrant),
		refuses("4.1.3: redirect_uri in capitals", code("redirect_uri", "https://SITE.example/callback"), 400, tokenep.InvalidGrant),
		refuses("4.1.3: another client", redeemCode("other", site), 400, tokenep.InvalidGrant),
		refuses("4.1.3: a public client with the code of another", redeemCode("native", site), 400, tokenep.InvalidGrant),
		refuses("5.2: a client without the grant", redeemCode("idle", site), 400, tokenep.UnauthorizedClient),
		refuses("3.2.1: no client", tokeneptest.Post("grant_type", grant.AuthorizationCodeType, "code", site), 401, tokenep.InvalidClient),
		refuses("3.2.1: a wrong secret", code().Basic("site", "wrong"), 401, tokenep.InvalidClient),
		refuses("3.3: more scope than was allowed", redeemCode("site", site, "scope", "read write admin"), 400, tokenep.InvalidScope),
		refuses("RFC 8707 2.2: a resource that was not allowed", code("resource", invoices), 400, tokenep.InvalidTarget),
		refuses("RFC 8707 2: a resource with a fragment", code("resource", orders+"#"), 400, tokenep.InvalidTarget),
		refuses("RFC 7636 4.6: verifier missing", code("code_verifier", ""), 400, tokenep.InvalidGrant),
		refuses("RFC 7636 4.6: another verifier", code("code_verifier", strings.Repeat("v", 43)), 400, tokenep.InvalidGrant),
		refuses("RFC 7636 4.6: the challenge", code("code_verifier", tokeneptest.Challenge(tokeneptest.Verifier)), 400, tokenep.InvalidGrant),
		refuses("RFC 7636 4.1: a short verifier", code("code_verifier", "short"), 400, tokenep.InvalidGrant),
		refuses("RFC 8252 7.3: another port", redeemCode("native", native, "redirect_uri", tokeneptest.Loopback), 400, tokenep.InvalidGrant),
		grants("after all that, the code", code()),
		grants("and the code of the public client", redeemCode("native", native)),
	})
}

// RFC 7636 §4.1: a code_verifier has 43 to 128 unreserved characters. One that has not is refused,
// although it is that of the code_challenge.
func TestCodeVerifierForm(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	fill := strings.Repeat("v", 42)
	good := []string{fill + "v", strings.Repeat("v", 128)}
	for _, c := range "AZaz09-._~" {
		good = append(good, fill+string(c))
	}
	bad := []string{fill, strings.Repeat("v", 129)}
	for _, c := range "@[`{/:+=%, \x7fä" {
		bad = append(bad, fill+string(c))
	}
	redeem := func(verifier string) request {
		return redeemCode("site", s.Code(t, "site", "code_challenge", tokeneptest.Challenge(verifier)), "code_verifier", verifier)
	}
	for _, verifier := range good {
		s.Granted(t, redeem(verifier))
	}
	for _, verifier := range bad {
		if a := s.Send(t, redeem(verifier)); a.Status != http.StatusBadRequest || a.JSON["error"] != string(tokenep.InvalidGrant) {
			t.Errorf("%q: %d %s", verifier, a.Status, a.Body)
		}
	}
}

func other(id string, grantTypes ...string) tokenep.Client {
	c := tokeneptest.NewClient(id, grantTypes...)
	c.RedirectURIs = []string{tokeneptest.Callback}
	return c
}

// RFC 6749 §4.1.2: a code is good for a minute.
func TestAuthorizationCodeExpires(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	late, good := s.Code(t, "site"), s.Code(t, "site")
	s.Clock.Advance(time.Minute - time.Millisecond)
	s.Granted(t, redeemCode("site", good))
	s.Clock.Advance(time.Millisecond)
	s.Send(t, redeemCode("site", late)).Refused(t, 400, tokenep.InvalidGrant)
}

// RFC 6749 §4.1.2, RFC 9700 §4.5.3: a code that is used again ends what the first use gave, at once
// and at the routes as well. That it comes from another client, or without its verifier, proves
// nothing.
func TestAuthorizationCodeReplay(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "after 30 s": 30 * time.Second, "after its end": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			s := tokeneptest.New(t, tokeneptest.WithPeople)
			code := s.Code(t, "site")
			a, _ := s.Granted(t, redeemCode("site", code))
			b, _ := s.Granted(t, refresh("site", a.RefreshToken()))
			s.Clock.Advance(wait)
			s.Send(t, redeemCode("native", code)).Refused(t, 400, tokenep.InvalidGrant)
			s.Send(t, redeemCode("site", code, "code_verifier", strings.Repeat("v", 43))).Refused(t, 400, tokenep.InvalidGrant)
			c, _ := s.Granted(t, refresh("site", b.RefreshToken()))

			s.Send(t, redeemCode("site", code)).Refused(t, 400, tokenep.InvalidGrant)
			s.Send(t, refresh("site", c.RefreshToken())).Refused(t, 400, tokenep.InvalidGrant)
			for i, token := range []string{a.AccessToken(), b.AccessToken(), c.AccessToken()} {
				if _, err := s.Verify(t, token); err == nil {
					t.Errorf("access token %d is still good", i)
				}
			}
		})
	}
}

// Of fifty who redeem a code at the same time, one gets tokens. The others prove that there are two
// of them, so that these tokens end.
func TestFiftyRedeemOneCode(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	code := s.Code(t, "site")
	var mu sync.Mutex
	statuses := make(map[int]int)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			a := s.Send(t, redeemCode("site", code))
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	wg.Wait()
	if statuses[http.StatusOK] != 1 || statuses[http.StatusBadRequest] != 49 {
		t.Errorf("by status: %v; want one 200, and 400 for all others", statuses)
	}
}

// RFC 6749 §1.5: a client that may not refresh gets no refresh token. Its access token is one of a
// grant all the same.
func TestAuthorizationCodeWithoutRefresh(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		for i := range c.Clients {
			if c.Clients[i].ID == "site" {
				c.Clients[i].GrantTypes = []string{grant.AuthorizationCodeType}
			}
		}
	})
	code := s.Code(t, "site")
	a, token := s.Granted(t, redeemCode("site", code))
	if a.RefreshToken() != "" || a.JSON["refresh_token_timeout"] != nil || token.Claims["grant_id"] == nil {
		t.Errorf("%s %v", a.Body, token.Claims)
	}
	s.Send(t, redeemCode("site", code)).Refused(t, 400, tokenep.InvalidGrant)
	if _, err := s.Verify(t, a.AccessToken()); err == nil {
		t.Error("the code was used again, and the access token is good")
	}
}

// OpenID Connect Core §11: where the client is set to it, the scope offline_access asks for a
// refresh token. A request for less scope at the exchange does not take back what the user allowed.
func TestAuthorizationCodeOfflineAccess(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		for i := range c.Clients {
			if client := &c.Clients[i]; client.ID == "site" {
				client.RequireOfflineAccess = true
				client.Scope = append(client.Scope, tokenep.OfflineAccessScope)
			}
		}
	})
	for scope, want := range map[string]bool{"read": false, "read offline_access": true} {
		a, _ := s.Granted(t, redeemCode("site", s.Code(t, "site", "scope", scope), "scope", "read"))
		if (a.RefreshToken() != "") != want {
			t.Errorf("%s: %s", scope, a.Body)
		}
	}
}

// A redirect URI that the request did not name need not be named by the exchange; if it is, it must
// be the one that was used (RFC 6749 §4.1.3).
func TestAuthorizationCodeWithoutRedirectURI(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	code := func() string { return s.Code(t, "site", "redirect_uri", "") }
	s.Granted(t, redeemCode("site", code(), "redirect_uri", ""))
	s.Granted(t, redeemCode("site", code()))
	s.Send(t, redeemCode("site", code(), "redirect_uri", "https://elsewhere.example")).Refused(t, 400, tokenep.InvalidGrant)
}

// A client that was removed and registered anew under the same name is another one.
func TestAuthorizationCodeOfAnEarlierRegistration(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	client := other("later", grant.AuthorizationCodeType, grant.RefreshTokenType)
	client.Secrets = nil
	register := func() (secret string) {
		t.Helper()
		secret, err := s.Clients.Add(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	secret := register()
	spent, kept := s.Code(t, "later"), s.Code(t, "later")
	a, _ := s.Granted(t, redeemCode("later", spent).Basic("later", secret))
	if err := s.Clients.Remove(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	secret = register()
	s.Send(t, redeemCode("later", kept).Basic("later", secret)).Refused(t, 400, tokenep.InvalidGrant)
	s.Send(t, refresh("later", a.RefreshToken()).Basic("later", secret)).Refused(t, 400, tokenep.InvalidGrant)
}
