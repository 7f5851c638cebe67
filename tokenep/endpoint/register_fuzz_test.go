package endpoint_test

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 7591 §2: whatever a registration says, the client is no more than the template allows, is
// good in itself, and is told exactly what it is.
func FuzzRegistration(f *testing.F) {
	for _, members := range []string{
		``, `"scope":"read admin"`, `"scope":null,"grant_types":["client_credentials","password"]`, `"token_endpoint_auth_method":"none","client_name":"x"`,
		`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example/jwks"`, `"skip_consent":true,"audience":["x"],"exchange_from":["*"]`,
		`"client_id":"site","client_secret":"x","secrets":[{"hash":"x"}],"self_registered":false,"access_token_ttl":"90d"`,
	} {
		f.Add(document(members))
	}
	f.Add(`{"redirect_uris":["http://127.0.0.1:1/x","com.example.app:/callback"]}`)
	f.Add(`{"redirect_uris":["https://a.app.example@evil.example/cb"]}`)
	f.Add(`{"redirect_uris":["https://evil.example\\.app.example/cb"]}`)
	f.Add(`{"redirect_uris":["http://127.0.0.1/%2e%2E/x"],"scope":"\ud800"}`)
	s := tokeneptest.New(f, registering)
	template := s.Config.Registration.Template
	f.Fuzz(func(t *testing.T, body string) {
		a := s.Send(t, register(body))
		if a.Status == 400 || a.Status == 413 {
			return
		}
		id, _ := a.JSON["client_id"].(string)
		c, err := s.Clients.Load(t.Context(), id)
		if a.Status != 201 || err != nil {
			t.Fatalf("%d %s, %v", a.Status, a.Body, err)
		}
		wide := tokenep.Client{
			ID: c.ID, Name: c.Name, URI: c.URI, Secrets: c.Secrets, JWKS: c.JWKS, JWKSURI: c.JWKSURI, AuthMethod: c.AuthMethod,
			AuthSigningAlg: c.AuthSigningAlg, GrantTypes: c.GrantTypes, RedirectURIs: c.RedirectURIs, IDTokenAlg: c.IDTokenAlg, Scope: c.Scope,
			Audience: template.Audience, IssuedAt: c.IssuedAt, RegistrationID: c.RegistrationID, SelfRegistered: true, UnusedUntil: c.UnusedUntil,
		}
		for _, uri := range c.RedirectURIs {
			if !slices.ContainsFunc(template.RedirectURIs, func(p tokenep.RedirectPattern) bool { return p.Match(uri) }) {
				t.Errorf("redirect_uri %q", uri)
			}
		}
		for _, grantType := range c.GrantTypes {
			if !slices.Contains(template.GrantTypes, grantType) {
				t.Errorf("grant_type %q", grantType)
			}
		}
		switch {
		case !tokeneptest.EqualJSON(c, wide):
			t.Errorf("it has more than it may ask for: %+v", c)
		case !template.Scope.Includes(c.Scope), c.UnusedUntil == 0, c.Validate() != nil, len(c.Secrets) > 1:
			t.Errorf("%+v: %v", c, c.Validate())
		case c.May("authorization_code") && len(c.RedirectURIs) == 0, c.Public() && c.May("client_credentials"):
			t.Errorf("%+v", c)
		case !utf8.ValidString(c.Name) || !utf8.Valid(a.Body):
			t.Errorf("%q", a.Body)
		case a.JSON["scope"] != c.Scope.String() && len(c.Scope) > 0:
			t.Errorf("it is told %v of its scope %v", a.JSON["scope"], c.Scope)
		}
		if err := s.Clients.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
}
