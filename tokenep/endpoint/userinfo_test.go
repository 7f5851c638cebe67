package endpoint_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

const userInfoPath = "/oauth/userinfo"

// OpenID Connect Core §5.3: the token comes by GET or POST, in the header or in a form, and the
// answer says whom it is about. Refusals are those of RFC 6750 §3.
func TestUserInfo(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		for i := range c.Clients {
			if c.Clients[i].ID == "site" {
				c.Clients[i].Scope = append(c.Clients[i].Scope, "openid")
			}
		}
	})
	a, _ := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site", "scope", "openid")))
	token := a.AccessToken()
	bearer := func(r request, token string) request { return r.With("Authorization", "Bearer "+token) }
	p := s.NewProver()
	bound, _ := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site", "scope", "openid")).Proving(p, nil))
	ofClient := s.Mint(t, tokenep.Claims{Subject: "client:billing", Scope: verify.Scope{"openid"}})
	without := s.Mint(t, tokenep.Claims{Scope: verify.Scope{"read"}})
	for name, c := range map[string]struct {
		r         request
		status    int
		challenge string
	}{
		"5.3.1: GET":                  {bearer(tokeneptest.Get(userInfoPath), token), 200, ""},
		"5.3.1: POST":                 {bearer(post().At(userInfoPath), token), 200, ""},
		"5.3.1: POST, in the form":    {post("access_token", token).At(userInfoPath), 200, ""},
		"RFC 9449 7: bound":           {tokeneptest.Get(userInfoPath).Presenting(p, bound.AccessToken()), 200, ""},
		"RFC 9449 7: as a bearer":     {bearer(tokeneptest.Get(userInfoPath), bound.AccessToken()), 401, `error="invalid_token"`},
		"5.3.3: no token":             {tokeneptest.Get(userInfoPath), 401, `Bearer realm="userinfo"`},
		"5.3.3: junk":                 {bearer(tokeneptest.Get(userInfoPath), "junk"), 401, `error="invalid_token"`},
		"5.3.3: the token in the URL": {tokeneptest.Get(userInfoPath + "?access_token=" + token), 401, "Bearer"},
		"5.3.3: the scope is missing": {bearer(tokeneptest.Get(userInfoPath), without), 403, `error="insufficient_scope"`},
		"5.3.3: about a client":       {bearer(tokeneptest.Get(userInfoPath), ofClient), 403, `error="insufficient_scope"`},
		"5.3.3: an ID token":          {bearer(tokeneptest.Get(userInfoPath), a.JSON["id_token"].(string)), 401, `error="invalid_token"`},
		"5.3.3: a refresh token":      {bearer(tokeneptest.Get(userInfoPath), a.RefreshToken()), 401, `error="invalid_token"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.Send(t, c.r)
			if got.Status != c.status || !strings.Contains(got.Header.Get("WWW-Authenticate"), c.challenge) {
				t.Errorf("%d %s %s, want %d %s", got.Status, got.Header.Get("WWW-Authenticate"), got.Body, c.status, c.challenge)
			}
			if c.status == 200 && string(got.Body) != `{"sub":"alice"}` {
				t.Errorf("%s", got.Body)
			}
		})
	}
	s.Send(t, post("token", a.RefreshToken()).By("site").At(revokePath))
	if got := s.Send(t, bearer(tokeneptest.Get(userInfoPath), token)); got.Status != http.StatusUnauthorized {
		t.Errorf("after the revocation: %d %s", got.Status, got.Body)
	}
}

// OpenID Connect Discovery §3: what there is of OpenID Connect is in the metadata where a client
// may use it, and nothing of it is elsewhere.
func TestOpenIDMetadata(t *testing.T) {
	document := func(s *tokeneptest.Server) map[string]any {
		return s.Send(t, tokeneptest.Get("/.well-known/openid-configuration")).JSON
	}
	with := document(tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { c.OpenID = true }))
	for member, want := range map[string]any{
		"userinfo_endpoint": issuer + userInfoPath, "id_token_signing_alg_values_supported": []string{"RS256"},
		"subject_types_supported": []string{"public"}, "claims_parameter_supported": false,
	} {
		if !tokeneptest.EqualJSON(with[member], want) {
			t.Errorf("%s is %v, want %v", member, with[member], want)
		}
	}
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	if without := document(s); without["userinfo_endpoint"] != nil || without["claims_supported"] != nil {
		t.Errorf("%v", without)
	}
	if a := s.Send(t, tokeneptest.Get(userInfoPath)); a.Status != http.StatusNotFound {
		t.Errorf("%d", a.Status)
	}
	client := tokenep.Client{ID: "later", GrantTypes: []string{"authorization_code"}, RedirectURIs: []string{"https://later.example"}, Scope: verify.Scope{"openid"}}
	if _, err := s.Clients.Add(t.Context(), client); err == nil || !strings.Contains(err.Error(), "set openid") {
		t.Errorf("a client that asks for what there is not: %v", err)
	}
}
