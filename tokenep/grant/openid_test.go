package grant_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// withOpenID is a Change: the clients of WithPeople may ask who the user is. The ID tokens of
// native are signed by this algorithm.
func withOpenID(alg string) tokeneptest.Change {
	return func(c *server.Config) {
		tokeneptest.WithPeople(c)
		for i := range c.Clients {
			if client := &c.Clients[i]; client.ID == "site" || client.ID == "native" {
				client.Scope = append(verify.Scope{"openid"}, client.Scope...)
			}
			if c.Clients[i].ID == "native" {
				c.Clients[i].IDTokenAlg = alg
			}
		}
	}
}

// idToken verifies an ID token by the published keys, and returns its algorithm and its claims.
func idToken(t *testing.T, s *tokeneptest.Server, a tokeneptest.Answer) (alg string, claims map[string]any) {
	t.Helper()
	raw, _ := a.JSON["id_token"].(string)
	if a.JSON["issued_token_type"] == tokenep.IssuedIDToken {
		raw = a.AccessToken()
	}
	set, err := jwk.Parse(s.Send(t, tokeneptest.Get(tokeneptest.JWKSPath)).Body)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify([]byte(raw), jws.WithKeySet(set))
	if err != nil {
		t.Fatalf("the ID token %q does not verify: %v", raw, err)
	}
	message, err := jws.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if header.Type() != "JWT" {
		t.Errorf("typ is %q", header.Type())
	}
	if _, err := s.Verify(t, raw); err == nil {
		t.Error("the ID token passes for an access token")
	}
	return header.Algorithm().String(), claims
}

// OpenID Connect Core §2, §3.1.3.3 and §12.2: with the scope openid, a code and each refresh give
// an ID token. Only the first has the nonce.
func TestIDToken(t *testing.T) {
	for alg, want := range map[string]string{"": "RS256", "RS256": "RS256", "ES256": "ES256", "EdDSA": "EdDSA"} {
		t.Run("alg "+alg, func(t *testing.T) {
			s := tokeneptest.New(t, withOpenID(alg))
			signedIn := tokeneptest.Start.Add(-time.Minute).Truncate(time.Second)
			r := tokeneptest.Authorize("native", "nonce", "n-0S6_WzA2Mj").With(tokeneptest.SignInHeader, signedIn.Format(time.RFC3339))
			code := s.Send(t, s.Consent(t, r, "allow")).Redirected(t, tokeneptest.RedirectURI("native")).Get("code")
			a, token := s.Granted(t, redeemCode("native", code))
			got, claims := idToken(t, s, a)
			expected := map[string]any{
				"iss": issuer, "sub": "alice", "aud": "native", "nonce": "n-0S6_WzA2Mj", "auth_time": signedIn.Unix(),
				"iat": token.IssuedAt.Unix(), "exp": token.Expires.Unix(), "at_hash": atHash(want, a.AccessToken()),
			}
			if got != want || !tokeneptest.EqualJSON(claims, expected) {
				t.Errorf("%s %v, want %s %v", got, claims, want, expected)
			}
			s.Clock.Advance(time.Hour)
			b, token := s.Granted(t, refresh("native", a.RefreshToken()))
			got, claims = idToken(t, s, b)
			delete(expected, "nonce")
			expected["iat"], expected["exp"] = token.IssuedAt.Unix(), token.Expires.Unix()
			expected["at_hash"] = atHash(want, b.AccessToken())
			if got != want || !tokeneptest.EqualJSON(claims, expected) {
				t.Errorf("after a refresh: %s %v, want %s %v", got, claims, want, expected)
			}
		})
	}
}

// atHash returns the left half of the hash that goes with an algorithm (§3.1.3.6).
func atHash(alg, token string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Without the scope openid there is no ID token, whoever leaves it out, and whenever. auth_time is
// there only if somebody knows it.
func TestNoIDToken(t *testing.T) {
	s := tokeneptest.New(t, withOpenID(""))
	without, _ := s.Granted(t, redeemCode("site", s.Code(t, "site", "scope", "read", "nonce", "n")))
	with, _ := s.Granted(t, redeemCode("site", s.Code(t, "site", "scope", "openid read", "nonce", "n")))
	narrowed, _ := s.Granted(t, refresh("site", with.RefreshToken(), "scope", "read"))
	atOnce, _ := s.Granted(t, redeemCode("site", s.Code(t, "site", "nonce", "n"), "scope", "read"))
	for name, a := range map[string]tokeneptest.Answer{
		"not asked for": without, "left out of a refresh": narrowed, "left out of the exchange": atOnce,
		"client credentials": first(s.Granted(t, plain.By("billing"))),
	} {
		if slices.Contains(a.Members(), "id_token") {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	if _, claims := idToken(t, s, with); claims["auth_time"] != nil || claims["nonce"] != "n" {
		t.Errorf("%v", claims)
	}
	again, _ := s.Granted(t, refresh("site", with.RefreshToken()))
	idToken(t, s, again)
	plain, _ := s.Granted(t, redeemCode("site", s.Code(t, "site", "scope", "openid read")))
	if _, claims := idToken(t, s, plain); !slices.Contains(plain.Members(), "id_token") {
		t.Errorf("%s", plain.Body)
	} else if nonce, there := claims["nonce"]; there {
		t.Errorf("nonce is %v, and nobody has sent one", nonce)
	}
}

func first[A, B any](a A, _ B) A { return a }

// A rotation of the keys ends no ID token, and the next one is signed by the new key.
func TestIDTokenKeysRotate(t *testing.T) {
	s := tokeneptest.New(t, withOpenID(""))
	code := s.Code(t, "site")
	a, _ := s.Granted(t, redeemCode("site", code))
	for _, ring := range s.Rings() {
		if err := ring.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := s.Granted(t, refresh("site", a.RefreshToken()))
	idToken(t, s, a)
	idToken(t, s, b)
	kid := func(a tokeneptest.Answer) string {
		message, err := jws.Parse([]byte(a.JSON["id_token"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		return message.Signatures()[0].ProtectedHeaders().KeyID()
	}
	if kid(a) == kid(b) {
		t.Error("the key that signs is the same")
	}
	// After a reload the same keys sign.
	next := s.Next(t, s.Config)
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, _ := next.Granted(t, refresh("site", a.RefreshToken()))
	if kid(c) != kid(b) {
		t.Error("a reload made another key")
	}
}

// RFC 8693 §2.1, §2.2.1: an ID token for the client that asks, about the person whose sign-in the
// subject token came of, and not longer than that.
func TestExchangeForIDToken(t *testing.T) {
	desk := tokeneptest.NewClient("desk", exchange)
	desk.Scope, desk.ExchangeFrom, desk.Audience, desk.IDTokenAlg = verify.Scope{"openid", "read"}, []string{"*"}, []string{orders}, "EdDSA"
	desk.ActorFrom, desk.MayActFor = []string{"*"}, []string{"*"}
	reader := tokeneptest.NewClient("reader", exchange)
	reader.Scope, reader.ExchangeFrom, reader.Audience = verify.Scope{"read"}, []string{"*"}, []string{orders}
	s := tokeneptest.New(t, withOpenID(""), tokeneptest.WithClients(desk, reader))
	signedIn := tokeneptest.Start.Add(-time.Minute).Truncate(time.Second)
	signIn := func(pairs ...string) string {
		r := tokeneptest.Authorize("site", pairs...).With(tokeneptest.SignInHeader, signedIn.Format(time.RFC3339))
		a := s.Send(t, r)
		if a.Status == 200 {
			a = s.Send(t, s.Consent(t, r, "allow"))
		}
		return s.Issued(t, redeemCode("site", a.Redirected(t, tokeneptest.RedirectURI("site")).Get("code")))
	}
	subject := signIn()
	asks := []string{"requested_token_type", tokenep.IssuedIDToken}
	s.Clock.Advance(time.Minute)
	a := s.Send(t, swap(subject, asks...).By("desk"))
	if a.Status != 200 || a.JSON["token_type"] != "N_A" || a.JSON["issued_token_type"] != tokenep.IssuedIDToken || a.RefreshToken() != "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	token, err := s.Verify(t, subject)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string]any{
		"iss": issuer, "sub": "alice", "aud": "desk", "auth_time": signedIn.Unix(), "iat": s.Clock.Now().Unix(), "exp": token.Expires.Unix(),
	}
	if alg, claims := idToken(t, s, a); alg != "EdDSA" || !tokeneptest.EqualJSON(claims, expected) {
		t.Errorf("%s %v, want %v", alg, claims, expected)
	}
	text, _ := s.NewAPIToken(t, state.APIToken{Owner: "alice", Scope: verify.Scope{"openid", "read"}})
	actor := append([]string{"actor_token", s.Mint(t, tokenep.Claims{ClientID: "desk"}), "actor_token_type", accessToken}, asks...)
	acted := s.Mint(t, tokenep.Claims{GrantID: token.GrantID, Scope: token.Scope, Act: object{"sub": "bob"}})
	s.Run(t, []rule{
		refuses("the sign-in was not for openid", swap(signIn("scope", "read"), asks...).By("desk"), 400, tokenep.InvalidRequest),
		refuses("the client is not for openid", swap(subject, asks...).By("reader"), 400, tokenep.InvalidScope),
		refuses("less is asked for", swap(subject, append(asks, "scope", "read")...).By("desk"), 400, tokenep.InvalidScope),
		refuses("for somebody else", swap(subject, append(asks, "audience", orders)...).By("desk"), 400, tokenep.InvalidTarget),
		refuses("nobody signed in for an API token", redeem(text, asks...).By("desk"), 400, tokenep.InvalidRequest),
		refuses("nobody signed in for a client", swap(s.Mint(t, tokenep.Claims{Scope: token.Scope, Subject: "client:desk"}), asks...).By("desk"), 400, tokenep.InvalidRequest),
		refuses("with an actor", swap(subject, actor...).By("desk"), 400, tokenep.InvalidRequest),
		refuses("somebody acts", swap(acted, asks...).By("desk"), 400, tokenep.InvalidRequest),
		refuses("SAML", swap(subject, "requested_token_type", "urn:ietf:params:oauth:token-type:saml2").By("desk"), 400, tokenep.InvalidRequest),
	})
	s = tokeneptest.New(t)
	s.Send(t, swap(s.Mint(t, tokenep.Claims{}), asks...).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
}
