package verify_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// Each deviation from RFC 9068: refused by the default profile with the name of an option, accepted
// with that option, and by profile jwt. A cached token is judged anew.
func TestProfiles(t *testing.T) {
	type claims = verifytest.Claims
	header := verifytest.Header
	for _, test := range []struct {
		name   string
		option string // what the log of the default profile says after "profile jwt; or "
		claims claims
		header verifytest.Option
		change func(*verify.TrustedIssuer) // the option
	}{
		{"no typ", "types none", nil, header("typ", nil), types("")},
		{"typ JWT", "types jwt", nil, header("typ", "JWT"), types("JWT")},
		{"no sub", "allow_missing_sub", claims{"sub": nil}, nil, missingSubject},
		{"sub empty", "allow_missing_sub", claims{"sub": ""}, nil, missingSubject},
		{"sub a number", "allow_missing_sub", claims{"sub": 7}, nil, missingSubject},
		{"scope a list", "allow_loose_scope", claims{"scope": []string{"a", "b"}}, nil, looseScope},
		{"scope an empty list", "allow_loose_scope", claims{"scope": []string{}}, nil, looseScope},
		{"scope with runs of spaces", "allow_loose_scope", claims{"scope": " a  b "}, nil, looseScope},
		{"scope a number", "allow_loose_scope", claims{"scope": 7}, nil, looseScope},
		{"scope an object", "allow_loose_scope", claims{"scope": claims{}}, nil, looseScope},
		{"client_id a list", "allow_odd_claims", claims{"client_id": []string{"a"}}, nil, oddClaims},
		{"jti a number", "allow_odd_claims", claims{"jti": 7}, nil, oddClaims},
		{"iat a string", "allow_odd_claims", claims{"iat": "today"}, nil, oddClaims},
		{"iat in milliseconds", "allow_odd_claims", claims{"iat": 1_800_000_000_000}, nil, oddClaims},
		{"cnf null", "allow_odd_claims", nil, payloadWith(`"sub":"a","client_id":"c","jti":"j","exp":9999999999,"cnf":null`), oddClaims},
		{"x5c with a real certificate", "allow_header_keys", nil, header("x5c", certificates(1)), headerKeys},
		{"x5c with three real certificates", "allow_header_keys", nil, header("x5c", certificates(3)), headerKeys},
		{"jku", "allow_header_keys", nil, header("jku", "https://idp.example/keys"), headerKeys},
		{"jwk", "allow_header_keys", nil, header("jwk", claims{"kty": "EC"}), headerKeys},
		{"x5c", "allow_header_keys", nil, header("x5c", []string{"AAAA"}), headerKeys},
		{"zip NONE", "allow_header_keys", nil, header("zip", "NONE"), headerKeys},
		{"two of them", "allow_missing_sub and allow_loose_scope", claims{"sub": nil, "scope": 7}, nil, func(i *verify.TrustedIssuer) {
			i.AllowMissingSubject, i.AllowLooseScope = true, true
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := verifytest.New(testIssuer, testAPI)
			cache := verify.NewCache(10, issuer.Now)
			with := func(change func(*verify.TrustedIssuer)) *verify.Verifier {
				return newVerifier(t, issuer, func(c *verify.Config) { change(&c.Issuers[0]); c.Cache = cache })
			}
			var options []verifytest.Option
			if test.header != nil {
				options = append(options, test.header)
			}
			raw := issuer.Sign(test.claims, options...)
			expect(t, with(profileJWT), raw, "ok")
			expect(t, with(test.change), raw, "ok")
			strict := with(func(*verify.TrustedIssuer) {})
			expectOption(t, strict, raw, "profile jwt; or "+test.option)
			what := "the claims of the token are not acceptable"
			switch {
			case strings.HasPrefix(test.option, "types"):
				what = "the token is not an access token"
			case test.option == "allow_header_keys":
				what = "the header of the token is not acceptable"
			}
			expectReason(t, strict, verify.Presentation{Token: raw}, what)
		})
	}
}

// certificates is an x5c (RFC 7515 §4.1.6) of the usual size.
func certificates(n int) []string {
	return slices.Repeat([]string{base64.StdEncoding.EncodeToString(make([]byte, 1300))}, n)
}

// A header may be long where it may have keys, and never longer than a token.
func TestLongHeader(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	large := func(change func(*verify.TrustedIssuer)) *verify.Verifier {
		return newVerifier(t, issuer, func(c *verify.Config) { change(&c.Issuers[0]); c.MaxTokenSize = 64 << 10 })
	}
	// 8 KiB in all.
	chain := slices.Repeat([]string{base64.StdEncoding.EncodeToString(make([]byte, 2730))}, 3)
	expect(t, large(headerKeys), issuer.Sign(nil, verifytest.Header("x5c", chain)), "ok")
	expectOption(t, large(oddClaims), issuer.Sign(nil, verifytest.Header("x5c", chain)), "profile jwt; or allow_header_keys")
	expectOption(t, newVerifier(t, issuer, func(c *verify.Config) { headerKeys(&c.Issuers[0]) }),
		issuer.Sign(nil, verifytest.Header("x5c", chain)), "max_token_size")
	expect(t, large(headerKeys), issuer.Sign(nil, verifytest.Header("x5c", certificates(9))), verify.InvalidToken)
	expect(t, large(oddClaims), issuer.Sign(nil, verifytest.Header("x", strings.Repeat("a", 2000))), verify.InvalidToken)
	expectOption(t, newVerifier(t, issuer, nil), issuer.Sign(verifytest.Claims{"groups": strings.Repeat("a", 8192)}), "max_token_size")
	raw := issuer.Sign(nil)
	for length, want := range map[int]string{len(raw): "ok", len(raw) - 1: verify.InvalidToken} {
		expect(t, newVerifier(t, issuer, func(c *verify.Config) { c.MaxTokenSize = length }), raw, want)
	}
}

// Where a token has no aud, and the audience is that of its client, the log names the option.
func TestAudienceOfClientIsNamed(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Audience = []string{"shop"} })
	expectOption(t, v, issuer.Sign(verifytest.Claims{"aud": nil, "client_id": "shop"}), "audience_claim client_id")
	expectOption(t, v, issuer.Sign(verifytest.Claims{"aud": nil, "client_id": "other"}), "")
	expectOption(t, v, issuer.Sign(verifytest.Claims{"client_id": "shop"}), "")
}

func profileJWT(i *verify.TrustedIssuer)     { i.Profile = verify.ProfileJWT }
func missingSubject(i *verify.TrustedIssuer) { i.AllowMissingSubject = true }
func looseScope(i *verify.TrustedIssuer)     { i.AllowLooseScope = true }
func oddClaims(i *verify.TrustedIssuer)      { i.AllowOddClaims = true }
func headerKeys(i *verify.TrustedIssuer)     { i.AllowHeaderKeys = true }

func types(names ...string) func(*verify.TrustedIssuer) {
	return func(i *verify.TrustedIssuer) { i.Types = names }
}

// expectOption verifies raw, which must be refused with this option.
func expectOption(t *testing.T, v *verify.Verifier, raw, option string) {
	t.Helper()
	_, err := v.Verify(t.Context(), verify.Presentation{Token: raw})
	refused, ok := errors.AsType[*verify.Error](err)
	if !ok || refused.Code != verify.InvalidToken || refused.Option != option {
		t.Errorf("got %v with option %q, want option %q", err, refused.Option, option)
	}
}

// expectReason presents a token, which must be refused with this description.
func expectReason(t *testing.T, v *verify.Verifier, p verify.Presentation, want string) {
	t.Helper()
	_, err := v.Verify(t.Context(), p)
	refused, ok := errors.AsType[*verify.Error](err)
	if !ok || refused.Code != verify.InvalidToken || refused.Description != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// RFC 8725 §3.1: the algorithms of an issuer may be fewer. The log says which one is missing.
func TestNarrowedAlgorithms(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	narrow := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Algorithms = []string{"EdDSA"} })
	expectOption(t, narrow, issuer.Sign(nil), "algorithms ES256")
	expectOption(t, newVerifier(t, issuer, nil), issuer.Sign(nil, verifytest.Header("alg", "HS256")), "")
}

// What profile jwt reads as absent, and what it refuses nevertheless.
func TestProfileJWT(t *testing.T) {
	const bad = verify.InvalidToken
	null := func(name string) verifytest.Option { return payloadWith(`"exp":1800003600,"` + name + `":null`) }
	header := verifytest.Header
	for _, test := range []struct {
		name   string
		option verifytest.Option
		want   string
	}{
		{"sub null", null("sub"), "ok"},
		{"client_id null", null("client_id"), "ok"},
		{"jti null", null("jti"), "ok"},
		{"scope null", null("scope"), "ok"},
		{"iat null", null("iat"), "ok"},
		{"nbf null", null("nbf"), "ok"},
		{"cnf null", null("cnf"), "ok"},
		{"at_hash null", null("at_hash"), "ok"},
		{"act null", null("act"), "ok"},
		{"kid null, as good as none", verifytest.RawHeader(`{"alg":"ES256","kid":null}`), bad},
		{"typ null", verifytest.RawHeader(`{"alg":"ES256","kid":"ES256","typ":null}`), "ok"},
		{"jku null", verifytest.RawHeader(`{"alg":"ES256","kid":"ES256","jku":null}`), "ok"},
		{"b64 true", header("b64", true), "ok"},

		{"exp null", payloadWith(`"exp":null`), bad},
		{"exp a string", payloadWith(`"exp":"1800003600"`), bad},
		{"nbf a string", payloadWith(`"exp":1800003600,"nbf":"1"`), bad},
		{"sub with a line feed", payloadWith(`"exp":1800003600,"sub":"a\nb"`), bad},
		{"client_id with a line feed", payloadWith(`"exp":1800003600,"client_id":"a\nb"`), bad},
		{"RFC 7800 §3.1 cnf", payloadWith(`"exp":1800003600,"cnf":{"jkt":"AAAA"}`), bad},
		{"cnf a string", payloadWith(`"exp":1800003600,"cnf":"x"`), bad},
		{"RFC 7515 §4.1.11 crit", header("crit", []string{"exp"}), bad},
		{"RFC 7797 §3 b64 false", header("b64", false), bad},
		{"RFC 7516 §4.1.3 zip DEF", header("zip", "DEF"), bad},
		{"typ of a logout token", header("typ", "logout+jwt"), bad},
		{"typ a number", header("typ", 7), bad},
		{"kid a number", header("kid", 7), bad},
		{"RFC 8417 §2.2 events", payloadWith(`"exp":1800003600,"events":{}`), bad},
		{"OIDC Core §3.3.2.11 at_hash", payloadWith(`"exp":1800003600,"at_hash":"x"`), bad},
		{"token_use id", payloadWith(`"exp":1800003600,"token_use":"id"`), bad},
		{"token_use access", payloadWith(`"exp":1800003600,"token_use":"access"`), "ok"},
		{"typ ID", payloadWith(`"exp":1800003600,"typ":"ID"`), bad},
		{"tokenName id_token", payloadWith(`"exp":1800003600,"tokenName":"id_token"`), bad},
		{"tokenName refresh_token", payloadWith(`"exp":1800003600,"tokenName":"refresh_token"`), bad},
		{"tokenName access_token", payloadWith(`"exp":1800003600,"tokenName":"access_token"`), "ok"},
		{"aud null", verifytest.RawPayload(`{"iss":"` + testIssuer + `","aud":null,"exp":1800003600}`), bad},
		{"aud with a number", verifytest.RawPayload(`{"iss":"` + testIssuer + `","aud":["` + testAPI + `",1],"exp":1800003600}`), bad},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := verifytest.New(testIssuer, testAPI)
			issuer.Now = newClock().Now
			v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Profile = verify.ProfileJWT })
			expect(t, v, issuer.Sign(nil, test.option), test.want)
		})
	}
}

// The scope of a token as each profile reads it, from one cache.
func TestLooseScope(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	cache := verify.NewCache(100, issuer.Now)
	for _, test := range []struct {
		name       string
		scope, scp any
		want       string // of profile jwt
		strict     string // of profile rfc9068; "-" for refused
	}{
		{"as RFC 6749 §3.3 writes it", "b a", nil, "b a", "b a"},
		{"a list", []string{"b", "a", "b"}, nil, "b a", "-"},
		{"runs of spaces", "  b   a ", nil, "b a", "-"},
		{"a tab is no space", "a\tb c", nil, "c", "-"},
		{"a list with two in one", []string{"a b", "c"}, nil, "c", "-"},
		{"a list with a number", []any{"a", 7}, nil, "", "-"},
		{"a list of lists", []any{[]any{"a"}}, nil, "", "-"},
		{"true", true, nil, "", "-"},
		{"257 of them", strings.Repeat("a ", 256) + "a", nil, "a", "-"},
		{"1025 spaces", strings.Repeat(" ", 1025) + "a", nil, "", "-"},
		{"scp a list", nil, []string{"b", "a"}, "b a", ""},
		{"scp a string", nil, "b a", "b a", ""},
		{"scp a number", nil, 7, "", ""},
		{"scope before scp", "a", "b", "a", "a"},
		{"an empty scope before scp", "", "b", "", ""},
		{"a wrong scope before scp", 7, "b", "", "-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw := issuer.Sign(verifytest.Claims{"scope": test.scope, "scp": test.scp})
			for range 2 { // the second time from the cache
				for profile, want := range map[verify.Profile]string{verify.ProfileJWT: test.want, verify.ProfileRFC9068: test.strict} {
					v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].Profile = profile; c.Cache = cache })
					token, err := v.Verify(t.Context(), verify.Presentation{Token: raw})
					got := "-"
					if err == nil {
						got = token.Scope.String()
					}
					if got != want {
						t.Errorf("%s: got %q (%v), want %q", profile, got, err, want)
					}
				}
			}
		})
	}
}

// Claims that are required or refused, and the audience in another claim.
func TestClaimOptions(t *testing.T) {
	type claims = verifytest.Claims
	for _, test := range []struct {
		name   string
		change func(*verify.TrustedIssuer)
		claims claims
		option string // "" for accepted
	}{
		{"required, there", requireClaims("azp"), claims{"azp": "x"}, ""},
		{"required, absent", requireClaims("azp"), nil, "require_claims without azp"},
		{"required, another value", requireClaims("a=b"), claims{"a": "c"}, "require_claims without a=b"},
		{"required, in a list", requireClaims("realm.roles=b"), claims{"realm": claims{"roles": []string{"a", "b"}}}, ""},
		{"required, true", requireClaims("ok=true"), claims{"ok": true}, ""},
		{"required, false", requireClaims("ok=true"), claims{"ok": false}, "require_claims without ok=true"},
		{"required, no boolean", requireClaims("ok=yes"), claims{"ok": false}, "require_claims without ok=yes"},
		{"required, a number", requireClaims("id=65"), claims{"id": 65}, ""},
		{"required, in an object", requireClaims("urn:a:roles.b"), claims{"urn:a:roles": claims{"b": claims{}}}, ""},
		{"required, an object", requireClaims("a=b"), claims{"a": claims{"b": 1}}, "require_claims without a=b"},
		{"refused by default", func(*verify.TrustedIssuer) {}, claims{"at_hash": "x"}, "refuse_claims events c_hash"},
		{"refused by name", refuseClaims("nonce"), claims{"nonce": "x"}, "refuse_claims none"},
		{"refused by value", refuseClaims("use=id", "x"), claims{"use": "id"}, "refuse_claims x"},
		{"of a value that is not refused", refuseClaims("use=id"), claims{"use": "access"}, ""},
		{"required, a time", requireClaims("iat"), nil, ""},
		{"required, no time", func(i *verify.TrustedIssuer) { i.RequireClaims, i.AllowOddClaims = []string{"iat"}, true },
			claims{"iat": 1_800_000_000_000}, "require_claims without iat"},
		{"nothing refused", refuseClaims(), claims{"at_hash": "x"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := verifytest.New(testIssuer, testAPI)
			v := newVerifier(t, issuer, func(c *verify.Config) { test.change(&c.Issuers[0]) })
			if raw := issuer.Sign(test.claims); test.option == "" {
				expect(t, v, raw, "ok")
			} else {
				expectOption(t, v, raw, test.option)
			}
		})
	}
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) {
		c.Issuers[0].AudienceClaim, c.Issuers[0].Audience = "azp", []string{"shop"}
	})
	expect(t, v, issuer.Sign(claims{"aud": nil, "azp": "shop"}), "ok")
	expect(t, v, issuer.Sign(claims{"aud": "shop"}), verify.InvalidToken)
	expect(t, v, issuer.Sign(claims{"aud": "shop", "azp": "other"}), verify.InvalidToken)
	expect(t, v, issuer.Sign(claims{"azp": []string{"shop"}}), verify.InvalidToken)
	for _, change := range []func(*verify.TrustedIssuer){
		func(i *verify.TrustedIssuer) { i.Profile = "oidc" }, requireClaims("=x"), requireClaims(""), refuseClaims("a="),
	} {
		trusted := issuer.Trust()
		change(&trusted)
		if _, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}}); err == nil {
			t.Errorf("accepted: %+v", trusted)
		}
	}
}

func requireClaims(claims ...string) func(*verify.TrustedIssuer) {
	return func(i *verify.TrustedIssuer) { i.RequireClaims = claims }
}

func refuseClaims(claims ...string) func(*verify.TrustedIssuer) {
	return func(i *verify.TrustedIssuer) { i.RefuseClaims = append([]string{}, claims...) }
}
