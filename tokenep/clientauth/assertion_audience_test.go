package clientauth_test

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 7523 §3, point 3, with draft-ietf-oauth-rfc7523bis and FAPI 2.0 §5.3.2.1: whom an assertion
// is for.
func TestAssertionAudience(t *testing.T) {
	lax, strict := newAsserter("lax"), newAsserter("strict")
	lax.client.AssertionAudience, strict.client.AssertionAudience = tokenep.AudienceLax, tokenep.AudienceStrict
	f := newAssertions(t, lax, strict)
	const as, revokeURL = tokeneptest.Issuer, tokeneptest.Issuer + tokeneptest.RevokePath
	own := header("typ", "client-authentication+jwt")
	for _, row := range []struct {
		name        string
		aud         any
		lax, strict bool
	}{
		{"the issuer", as, true, true},
		{"the issuer, in a list", []string{as}, true, true},
		{"the token endpoint", tokenURL, true, false},
		{"the token endpoint, in a list", []string{tokenURL}, true, false},
		{"the issuer twice", []string{as, as}, false, false},
		{"the issuer and the endpoint", []string{as, tokenURL}, false, false},
		{"the issuer and another server", []string{as, "https://other.example"}, false, false},
		{"nobody, in a list", []string{}, false, false},
		{"nobody", nil, false, false},
		{"null in a list", []any{nil}, false, false},
		{"an object", claims{"aud": as}, false, false},
		{"another server", "https://other.example", false, false},
		{"the issuer with a slash", as + "/", false, false},
		{"the issuer in other letters", "https://AS.example", false, false},
		{"the host", "as.example", false, false},
		{"the URL of another endpoint", revokeURL, false, false},
		{"another path of the token endpoint", as + tokeneptest.JSONPath, false, false},
		{"the endpoint with a query", tokenURL + "?x", false, false},
		{"the beginning of the endpoint", as + "/oauth/", false, false},
	} {
		send := func(a *asserter, good bool, options ...verifytest.Option) {
			t.Run(a.Name+": "+row.name, func(t *testing.T) {
				r := by(a.assertion(claims{"aud": row.aud}, options...))
				if good {
					f.Granted(t, r)
				} else {
					f.Send(t, r).Refused(t, 401, tokenep.InvalidClient)
				}
			})
		}
		send(lax, row.lax)
		send(strict, row.strict)
		send(lax, row.strict, own) // its typ makes it strict
	}
	// At another endpoint, its own URL is good too; and so is that of the token endpoint.
	revoke := func(aud string) request {
		return post("token", "x", "client_assertion_type", clientauth.AssertionType, "client_assertion", lax.assertion(claims{"aud": aud})).At(tokeneptest.RevokePath)
	}
	for aud, status := range map[string]int{as: 200, revokeURL: 200, tokenURL: 200, as + tokeneptest.JSONPath: 401, as + tokeneptest.JWKSPath: 401} {
		if a := f.Send(t, revoke(aud)); a.Status != status {
			t.Errorf("revocation with aud %s: %d %s", aud, a.Status, a.Body)
		}
	}
	f.Granted(t, by(lax.assertion(claims{"aud": as + tokeneptest.JSONPath})).At(tokeneptest.JSONPath))
}

// RFC 9126 §2: a pushed authorization request may have an assertion for the issuer, the token
// endpoint or the endpoint that it is pushed to; FAPI 2.0 wants the issuer alone, and no list.
func TestAssertionAudienceOfAPushedRequest(t *testing.T) {
	lax, strict := newAsserter("lax"), newAsserter("strict")
	strict.client.AssertionAudience = tokenep.AudienceStrict
	changes := []tokeneptest.Change{tokeneptest.WithPeople}
	for _, a := range []*asserter{lax, strict} {
		a.client.GrantTypes, a.client.RedirectURIs = []string{grant.AuthorizationCodeType}, []string{tokeneptest.Callback}
		changes = append(changes, tokeneptest.WithClients(a.client))
	}
	f := tokeneptest.New(t, changes...)
	const as = tokeneptest.Issuer
	for _, row := range []struct {
		name   string
		by     *asserter
		aud    any
		status int
	}{
		{"the issuer", lax, as, 201}, {"the endpoint", lax, as + tokeneptest.PARPath, 201}, {"the token endpoint", lax, tokenURL, 201},
		{"another endpoint", lax, as + tokeneptest.RevokePath, 401}, {"a list of two", lax, []string{as, as + tokeneptest.PARPath}, 401},
		{"FAPI: the issuer", strict, as, 201}, {"FAPI: the endpoint", strict, as + tokeneptest.PARPath, 401},
		{"FAPI: the token endpoint", strict, tokenURL, 401}, {"FAPI: a list of two", strict, []string{as, tokenURL}, 401},
	} {
		row.by.Now = f.Clock.Now
		a := f.Send(t, tokeneptest.Push("native", "client_id", row.by.Name, "redirect_uri", tokeneptest.Callback,
			"client_assertion_type", clientauth.AssertionType, "client_assertion", row.by.assertion(claims{"aud": row.aud})))
		if a.Status != row.status {
			t.Errorf("%s: %d %s", row.name, a.Status, a.Body)
		}
	}
}
