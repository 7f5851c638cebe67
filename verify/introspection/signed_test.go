package introspection_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// signed answers with a signed text, as application/token-introspection+jwt.
func signed(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "application/token-introspection+jwt" {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Type", "application/token-introspection+jwt")
		_, _ = w.Write([]byte(text))
	}
}

// RFC 9701 §5: who must have signed an answer, for whom, and when. One that is wrong says nothing
// of the token, so that no client throws its token away. What the issuer has signed for this client
// and now, but as something else, vouches for no token, and the answer is 401.
func TestSignedResponse(t *testing.T) {
	issuer, other := verifytest.New(idp, api, "ES256", "RS256"), verifytest.New(idp, api)
	typ := verifytest.Header("typ", "token-introspection+jwt")
	answer := func(change verifytest.Claims) verifytest.Claims {
		claims := verifytest.Claims{
			"aud": "orders", "iat": start.Unix(), "exp": nil, "sub": nil, "client_id": nil, "jti": nil,
			"token_introspection": map[string]any{"active": true, "aud": api, "sub": "ada"},
		}
		for name, value := range change {
			claims[name] = value
		}
		return claims
	}
	good := issuer.Sign(answer(nil), typ)
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		status int
	}{
		{"good", signed(good), 200},
		{"good, by another key", signed(issuer.Sign(answer(nil), typ, verifytest.Algorithm("RS256"))), 503},
		{"typ with application/", signed(issuer.Sign(answer(nil), verifytest.Header("typ", "application/token-introspection+jwt"))), 200},
		{"aud as a list", signed(issuer.Sign(answer(verifytest.Claims{"aud": []string{"orders"}}), typ)), 200},
		{"not active", signed(issuer.Sign(answer(verifytest.Claims{"token_introspection": map[string]any{"active": false}}), typ)), 401},
		{"for another audience", signed(issuer.Sign(answer(verifytest.Claims{"token_introspection": map[string]any{"active": true, "aud": "x"}}), typ)), 401},
		{"typ of an access token", signed(issuer.Sign(answer(nil))), 401},
		{"typ of an access token, by nobody", signed(other.Sign(answer(nil))), 503},
		{"no typ", signed(issuer.Sign(answer(nil), verifytest.Header("typ", nil))), 401},
		{"another iss", signed(issuer.Sign(answer(verifytest.Claims{"iss": "https://other.example"}), typ)), 503},
		{"aud of another client", signed(issuer.Sign(answer(verifytest.Claims{"aud": "shop"}), typ)), 503},
		{"aud of two", signed(issuer.Sign(answer(verifytest.Claims{"aud": []string{"orders", "shop"}}), typ)), 503},
		{"no iat", signed(issuer.Sign(answer(verifytest.Claims{"iat": nil}), typ)), 503},
		{"of an hour ago", signed(issuer.Sign(answer(verifytest.Claims{"iat": start.Add(-time.Hour).Unix()}), typ)), 503},
		{"of an hour to come", signed(issuer.Sign(answer(verifytest.Claims{"iat": start.Add(time.Hour).Unix()}), typ)), 503},
		{"members beside token_introspection", signed(issuer.Sign(answer(verifytest.Claims{"token_introspection": nil, "active": true}), typ)), 503},
		{"a wrong signature", signed(good[:len(good)-4] + "AAAA"), 503},
		{"of a key that is not the issuer's", signed(other.Sign(answer(nil), typ)), 503},
		{"alg none", signed(issuer.Sign(answer(nil), typ, verifytest.Header("alg", "none"))), 503},
		{"not signed", json(`{"active":true,"aud":%q}`, api), 503},
	} {
		t.Run(tc.name, func(t *testing.T) {
			newSite(t, tc.answer, func(o *introspection.Options, _ *verify.TrustedIssuer, _ *verify.Guard) {
				o.SignedBy, o.Algorithms = issuer.KeySet(), []string{"ES256"}
			}).status(t, "opaque", tc.status)
		})
	}
}
