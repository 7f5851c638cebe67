package verify_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A configuration that is lax by mistake is refused.
func TestNew(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	tests := []struct {
		name   string
		change func(*verify.Config)
		want   string // in the error; empty for none
	}{
		{"as it is", func(*verify.Config) {}, ""},
		{"no issuer", func(c *verify.Config) { c.Issuers = nil }, "no issuer"},
		{"no name", func(c *verify.Config) { c.Issuers[0].Name = "" }, "no name"},
		{"no keys", func(c *verify.Config) { c.Issuers[0].Keys = nil }, "no keys"},
		{"no audience", func(c *verify.Config) { c.Issuers[0].Audience = nil }, "no audience"},
		{"empty audience", func(c *verify.Config) { c.Issuers[0].Audience = []string{""} }, "empty audience"},
		{"any audience", func(c *verify.Config) { c.Issuers[0].Audience, c.Issuers[0].InsecureAnyAudience = nil, true }, ""},
		{"issuer twice", func(c *verify.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]) }, "twice"},
		{"HS256", func(c *verify.Config) { c.Issuers[0].Algorithms = []string{"HS256"} }, `"HS256" is not`},
		{"none", func(c *verify.Config) { c.Issuers[0].Algorithms = []string{"none"} }, `"none" is not`},
		{"negative leeway", func(c *verify.Config) { c.Leeway = -1 }, "leeway"},
		{"long leeway", func(c *verify.Config) { c.Leeway = verify.MaxLeeway + 1 }, "leeway"},
		{"negative size", func(c *verify.Config) { c.MaxTokenSize = -1 }, "size"},
		{"a size that no token has", func(c *verify.Config) { c.MaxTokenSize = 255 }, "size"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := verify.Config{Issuers: []verify.TrustedIssuer{issuer.Trust()}}
			test.change(&c)
			_, err := verify.New(c)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// The audience is not checked where the configuration says so, and only there.
func TestInsecureAnyAudience(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].InsecureAnyAudience = true })
	expect(t, v, issuer.Sign(verifytest.Claims{"aud": nil}), "ok")
	expect(t, v, issuer.Sign(verifytest.Claims{"aud": "https://other.example"}), "ok")
	expect(t, v, issuer.Sign(nil, verifytest.RawPayload(`{"iss":"`+testIssuer+`","sub":"a","exp":9999999999,"aud":null}`)), verify.InvalidToken)
}

// aud is a list, also where it is named as the claim of the audience.
func TestAudienceClaimAud(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].AudienceClaim = "aud" })
	expect(t, v, issuer.Sign(verifytest.Claims{"aud": []string{"x", testAPI}}), "ok")
	expect(t, v, issuer.Sign(verifytest.Claims{"aud": "x"}), verify.InvalidToken)
}

// keysFunc is a KeySet for tests.
type keysFunc func(kid, alg string) (crypto.PublicKey, error)

func (f keysFunc) Key(_ context.Context, kid, alg string) (crypto.PublicKey, error) {
	return f(kid, alg)
}

// When the keys are unavailable the answer is 503: a 401 would make clients throw good tokens away.
func TestKeySetUnavailable(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	var err error
	keys := issuer.KeySet()
	v := newVerifier(t, issuer, func(c *verify.Config) {
		c.Cache = verify.NewCache(10, nil)
		c.Issuers[0].Keys = keysFunc(func(kid, alg string) (crypto.PublicKey, error) {
			if err != nil {
				return nil, err
			}
			return keys.Key(t.Context(), kid, alg)
		})
	})
	cached, fresh := issuer.Sign(nil), issuer.Sign(nil)
	expect(t, v, cached, "ok")
	for _, err = range []error{verify.ErrUnavailable, context.Canceled, errors.New("disk on fire")} {
		expect(t, v, cached, "Service Unavailable")
		expect(t, v, fresh, "Service Unavailable")
		var refused *verify.Error
		if _, got := v.Verify(t.Context(), verify.Presentation{Token: fresh}); !errors.As(got, &refused) || refused.RetryAfter <= 0 || !errors.Is(got, err) {
			t.Errorf("got %v, want Retry-After and the cause", got)
		}
	}
	err = verify.ErrUnknownKey
	expect(t, v, cached, verify.InvalidToken)
	err = nil
	expect(t, v, cached, "ok")
}

// A KeySet may be anybody's: its keys are checked before use.
func TestKeySetReturnsNonsense(t *testing.T) {
	issuer := everyKey()
	for _, key := range []crypto.PublicKey{nil, "key", []byte("secret"), struct{}{}} {
		v := newVerifier(t, issuer, func(c *verify.Config) {
			c.Issuers[0].Keys = keysFunc(func(string, string) (crypto.PublicKey, error) { return key, nil })
		})
		expect(t, v, issuer.Sign(nil), verify.InvalidToken)
	}
	short := newVerifier(t, issuer, func(c *verify.Config) {
		c.Issuers[0].Keys = keysFunc(func(string, string) (crypto.PublicKey, error) { return ed25519.PublicKey("short"), nil })
	})
	expect(t, short, issuer.Sign(nil, verifytest.Algorithm("EdDSA")), verify.InvalidToken)
	mixed := newVerifier(t, issuer, func(c *verify.Config) {
		c.Issuers[0].Keys = keysFunc(func(string, string) (crypto.PublicKey, error) {
			return issuer.KeySet().Key(t.Context(), "RS256", "RS256")
		})
	})
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		expect(t, mixed, issuer.Sign(nil, verifytest.Algorithm(algorithm)), verify.InvalidToken)
	}
}

// The log can name whose token was refused once its signature is good, and not before. What the
// token says of its audience is quoted, and there is an end to it.
func TestRefusalsOfSignedTokensNameThem(t *testing.T) {
	clock := newClock()
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = clock.Now
	v := newVerifier(t, issuer, func(c *verify.Config) {
		c.Cache = verify.NewCache(10, clock.Now)
		c.Issuers[0].Audience = []string{testAPI, "b"}
	})
	azp := newVerifier(t, issuer, func(c *verify.Config) { c.Issuers[0].AudienceClaim = "azp" })
	const wrong = "the token is for another audience: "
	long := strings.Repeat("x", 8<<9)
	for _, test := range []struct {
		name, raw string
		verifier  *verify.Verifier
		named     bool
		reason    string
	}{
		{"another audience", issuer.Sign(verifytest.Claims{"aud": testAPI + "/"}), v, true, wrong + `aud is "` + testAPI + `/", expected "` + testAPI + `", "b"`},
		{"many", issuer.Sign(verifytest.Claims{"aud": []string{"1", "2", "3", "4", "5", "6"}}), v, true,
			wrong + `aud is "1", "2", "3", "4", 2 more, expected "` + testAPI + `", "b"`},
		{"a long one", issuer.Sign(verifytest.Claims{"aud": long}), v, true, wrong + `aud is "` + long[:100] + `", expected "` + testAPI + `", "b"`},
		{"control characters", issuer.Sign(verifytest.Claims{"aud": "a\r\nb\x1b[2J\u202e\""}), v, true,
			wrong + `aud is "a\r\nb\x1b[2J\u202e\"", expected "` + testAPI + `", "b"`},
		{"another claim", issuer.Sign(verifytest.Claims{"azp": "x"}), azp, true, wrong + `azp is "x", expected "` + testAPI + `"`},
		{"no such claim", issuer.Sign(nil), azp, true, wrong + `azp is absent, expected "` + testAPI + `"`},
		{"expired", issuer.Sign(verifytest.Claims{"iat": 1_700_000_000, "exp": 1_700_000_100}), v, true, "the token has expired"},
		{"forged", issuer.Sign(verifytest.Claims{"aud": "x"}, verifytest.SignedBy(verifytest.New(testIssuer, testAPI))), v, false, "the signature of the token is not good"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.verifier.Verify(t.Context(), verify.Presentation{Token: test.raw})
			var refused *verify.Error
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if reason := refused.Reason(); reason != test.reason && !(test.name == "forged" && strings.HasPrefix(reason, test.reason)) {
				t.Errorf("reason %s\nwant   %s", reason, test.reason)
			}
			if named := refused.Token != nil && refused.Token.ClientID != "" && refused.Token.Subject != ""; named != test.named {
				t.Errorf("the token is named: %t, want %t", named, test.named)
			}
			if description := refused.Description; strings.Contains(description, "aud is") {
				t.Errorf("the client is told %s", description)
			}
		})
	}
}

// Inspect reports every failed check, in order, and does not cache.
func TestInspect(t *testing.T) {
	clock := newClock()
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = clock.Now
	other := verifytest.New("https://other.example", testAPI)
	other.Now = clock.Now
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(10, clock.Now) })
	expired := verifytest.Claims{"iat": 1_700_000_000, "exp": 1_700_000_100, "aud": "x", "cnf": verifytest.Claims{}}
	tests := []struct {
		name, raw       string
		failed, skipped string
	}{
		{"good", issuer.Sign(nil), "", ""},
		{"expired, for another audience, bound", issuer.Sign(expired), "expiry audience confirmation", ""},
		{"alg none", issuer.Sign(nil, verifytest.Header("alg", "none")), "header",
			"claims issuer type profile algorithm key signature purpose expiry not-before issued-at lifetime audience confirmation revocation authentication"},
		{"forged and of the wrong type", issuer.Sign(nil, verifytest.SignedBy(other), verifytest.Header("typ", "JWT")), "type signature", ""},
		{"unknown kid", issuer.Sign(nil, verifytest.Header("kid", "x")), "key", "signature"},
		{"unknown issuer", other.Sign(nil), "issuer", "type profile algorithm key signature purpose audience confirmation revocation"},
		{"junk", "junk", "form", "header claims issuer type profile algorithm key signature purpose expiry not-before issued-at lifetime audience confirmation revocation authentication"},
		{"long", strings.Repeat("x", 9000), "size", "form header claims issuer type profile algorithm key signature purpose expiry not-before issued-at lifetime audience confirmation revocation authentication"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, verr := v.Verify(t.Context(), verify.Presentation{Token: test.raw})
			_, report := v.Inspect(t.Context(), verify.Presentation{Token: test.raw})
			var failed, skipped []string
			for _, check := range report {
				name := strings.ReplaceAll(check.Name, " ", "-")
				if check.Err != nil {
					failed = append(failed, name)
				}
				if check.Skipped {
					skipped = append(skipped, name)
				}
			}
			if got := strings.Join(failed, " "); got != test.failed {
				t.Errorf("failed %q, want %q", got, test.failed)
			}
			if got := strings.Join(skipped, " "); got != test.skipped {
				t.Errorf("skipped %q, want %q", got, test.skipped)
			}
			if (verr == nil) != (len(failed)+len(skipped) == 0) {
				t.Errorf("Verify says %v", verr)
			}
		})
	}
}
