package clientauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const tokenURL = tokeneptest.Issuer + tokeneptest.TokenPath

var (
	header    = verifytest.Header
	algorithm = verifytest.Algorithm
)

// asserter is a client with keys.
type asserter struct {
	*verifytest.Issuer
	client tokenep.Client
}

// newAsserter returns a client with a key for each algorithm; its clock is set by newAssertions.
func newAsserter(id string, algorithms ...string) *asserter {
	a := &asserter{Issuer: verifytest.New(id, tokeneptest.Issuer, algorithms...)}
	a.client = tokenep.Client{ID: id, GrantTypes: []string{cc}, JWKS: a.JWKS()}
	return a
}

type claims = verifytest.Claims

// assertion signs an assertion that is good, with what is said changed in it.
func (a *asserter) assertion(change claims, options ...verifytest.Option) string {
	all := claims{"sub": a.Name, "client_id": nil, "exp": a.Now().Unix() + 60}
	maps.Copy(all, change)
	return a.Sign(all, append([]verifytest.Option{header("typ", nil)}, options...)...)
}

// by returns a request with the assertion.
func by(assertion string, pairs ...string) request {
	return post(append([]string{"grant_type", cc, "client_assertion_type", clientauth.AssertionType, "client_assertion", assertion}, pairs...)...)
}

// newAssertions returns a server that knows these clients.
func newAssertions(t testing.TB, clients ...*asserter) *tokeneptest.Server {
	t.Helper()
	var all []tokenep.Client
	for _, c := range clients {
		all = append(all, c.client)
	}
	f := tokeneptest.New(t, tokeneptest.WithClients(all...))
	for _, c := range clients {
		c.Now = f.Clock.Now
	}
	return f
}

// RFC 7521 §4.2, RFC 7523 §2.2 and §3: what an assertion of a client must be like.
func TestAssertionOfAClient(t *testing.T) {
	robot := newAsserter("robot", "ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256")
	pinned := newAsserter("pinned", "ES256", "RS256")
	pinned.client.AuthSigningAlg = "ES256"
	alone := newAsserter("alone")
	f := newAssertions(t, robot, pinned, alone)
	now := f.Clock.Now().Unix()
	good := robot.assertion
	rules := []rule{
		grants("2.2: without client_id", by(good(nil))),
		grants("7521 4.2: client_id is the same", by(good(nil), "client_id", "robot")),
		grants("7515 4.1.9: typ JWT", by(good(nil, header("typ", "JWT")))),
		grants("7515 4.1.9: in other letters, with application/", by(good(nil, header("typ", "application/jwt")))),
		grants("rfc7523bis 2.2: its typ", by(good(nil, header("typ", "client-authentication+jwt")))),
		grants("empty parameters are absent", by(good(nil), "client_secret", "", "client_id", "")),
		grants("beside a Bearer header", by(good(nil)).With("Authorization", "Bearer expired")),
		grants("Core 10.1: no kid, one key", by(alone.assertion(nil, header("kid", nil)))),
		grants("the registered algorithm", by(pinned.assertion(nil))),

		refuses("7521 4.2: client_id is another", by(good(nil), "client_id", "pinned"), 401, tokenep.InvalidClient),
		refuses("7521 4.2: no type", post("grant_type", cc, "client_assertion", good(nil)), 401, tokenep.InvalidClient),
		refuses("7521 4.2: a type alone", post("grant_type", cc, "client_assertion_type", clientauth.AssertionType), 401, tokenep.InvalidClient),
		refuses("7521 4.2: a type alone, of a public client", post("grant_type", cc, "client_id", "app", "client_assertion_type", clientauth.AssertionType), 401, tokenep.InvalidClient),
		refuses("7522 2.2: a type that is not known", post("grant_type", cc, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", good(nil)), 401, tokenep.InvalidClient),
		refuses("7523 2.2: two assertions", by(good(nil), "client_assertion", good(nil)), 400, tokenep.InvalidRequest),
		refuses("no JWT", by("x"), 401, tokenep.InvalidClient),
		refuses("a JWE", by("a.b.c.d.e"), 401, tokenep.InvalidClient),
		refuses("longer than 8 KiB", by(good(claims{"x": strings.Repeat("x", 8000)})), 401, tokenep.InvalidClient),

		refuses("3.1: no iss", by(good(claims{"iss": nil})), 401, tokenep.InvalidClient),
		refuses("3.1: iss is another client", by(good(claims{"iss": "pinned"})), 401, tokenep.InvalidClient),
		refuses("3.1: iss is the server", by(good(claims{"iss": tokeneptest.Issuer})), 401, tokenep.InvalidClient),
		refuses("3.2: no sub", by(good(claims{"sub": nil})), 401, tokenep.InvalidClient),
		refuses("3.2: sub is another client", by(good(claims{"sub": "pinned"})), 401, tokenep.InvalidClient),
		refuses("3.2: neither is a client", by(good(claims{"iss": "nobody", "sub": "nobody"})), 401, tokenep.InvalidClient),
		refuses("3.4: no exp", by(good(claims{"exp": nil})), 401, tokenep.InvalidClient),
		refuses("3.4: exp is null", by(good(nil, verifytest.RawPayload(fmt.Sprintf(`{"iss":"robot","sub":"robot","aud":%q,"jti":"n","exp":null}`, tokeneptest.Issuer)))), 401, tokenep.InvalidClient),
		grants("3.4: exp is a moment ago", by(good(claims{"exp": now - 20}))),
		refuses("FAPI: exp is 5 minutes in the past", by(good(claims{"iat": now - 360, "exp": now - 300})), 401, tokenep.InvalidClient),
		grants("3.4: exp is an hour ahead", by(good(claims{"exp": now + 3600}))),
		refuses("3.4: exp is more than an hour ahead", by(good(claims{"exp": now + 3700})), 401, tokenep.InvalidClient),
		refuses("3.4: the same, without iat", by(good(claims{"exp": now + 3700, "iat": nil})), 401, tokenep.InvalidClient),
		grants("FAPI: nbf is 8 seconds ahead", by(good(claims{"nbf": now + 8}))),
		grants("FAPI: iat is 8 seconds ahead", by(good(claims{"iat": now + 8}))),
		refuses("FAPI: nbf is over 60 seconds ahead", by(good(claims{"nbf": now + 61, "exp": now + 120})), 401, tokenep.InvalidClient),
		refuses("FAPI: iat is over 60 seconds ahead", by(good(claims{"iat": now + 61, "exp": now + 120})), 401, tokenep.InvalidClient),
		refuses("Core 9: no jti", by(good(claims{"jti": nil})), 401, tokenep.InvalidClient),
		refuses("Core 9: jti is empty", by(good(claims{"jti": ""})), 401, tokenep.InvalidClient),
		refuses("Core 9: jti is a number", by(good(claims{"jti": 1})), 401, tokenep.InvalidClient),

		refuses("typ is that of an access token", by(good(nil, header("typ", "at+jwt"))), 401, tokenep.InvalidClient),
		refuses("typ is that of an ID-JAG", by(good(nil, header("typ", "oauth-id-jag+jwt"))), 401, tokenep.InvalidClient),
		refuses("typ is that of a proof", by(good(nil, header("typ", "dpop+jwt"))), 401, tokenep.InvalidClient),
		refuses("typ is null", by(good(nil, verifytest.RawHeader(`{"alg":"ES256","kid":"ES256","typ":null}`))), 401, tokenep.InvalidClient),
		refuses("another algorithm than the registered one", by(pinned.assertion(nil, algorithm("RS256"))), 401, tokenep.InvalidClient),
		refuses("Core 10.1: no kid, several keys", by(good(nil, header("kid", nil))), 401, tokenep.InvalidClient),
		refuses("Core 10.1: an unknown kid", by(good(nil, header("kid", "x"))), 401, tokenep.InvalidClient),

		refuses("a client of a secret", by(newTwin(f, "billing").assertion(nil)), 401, tokenep.InvalidClient),
		refuses("a public client", by(newTwin(f, "app").assertion(nil)), 401, tokenep.InvalidClient),
		refuses("2.3: a client of an assertion, by a secret", plain.By("robot"), 401, tokenep.InvalidClient),
		refuses("3.2.1: a client of an assertion, by its id alone", post("grant_type", cc, "client_id", "robot"), 401, tokenep.InvalidClient),
		refuses("2.3: Basic beside it", by(good(nil)).By("billing"), 400, tokenep.InvalidRequest),
		refuses("malformed Basic beside it, which is told before the body is read", by(good(nil)).With("Authorization", "Basic !"), 401, tokenep.InvalidClient),
		refuses("2.3: Basic beside a malformed one", by("x").By("billing"), 400, tokenep.InvalidRequest),
		refuses("2.3: a secret beside it", by(good(nil), "client_id", "billing", "client_secret", "billing-secret"), 400, tokenep.InvalidRequest),
		refuses("2.3: a secret alone beside it", by(good(nil), "client_secret", "x"), 400, tokenep.InvalidRequest),
	}
	for _, name := range []string{"ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256"} {
		rules = append(rules, grants("7518 3.1: "+name, by(good(nil, algorithm(name)))))
	}
	f.Run(t, rules)
}

// RFC 7517 §4.4: an RSA key that names no alg signs by any algorithm that there is for RSA, if the
// client is not registered for another. One that names it signs by that alone.
func TestAssertionOfARSAKeyWithoutAlg(t *testing.T) {
	bare := func(id, alg string) *asserter {
		a := newAsserter(id, "RS256")
		a.client.JWKS = []byte(strings.ReplaceAll(string(a.JWKS()), `"alg":"RS256",`, ""))
		if strings.Contains(string(a.client.JWKS), `"alg"`) {
			t.Fatalf("%s", a.client.JWKS)
		}
		a.client.AuthSigningAlg = alg
		return a
	}
	open, pinned, named := bare("open", ""), bare("pinned", "PS256"), newAsserter("named", "RS256")
	f := newAssertions(t, open, pinned, named)
	var rules []rule
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		rules = append(rules, grants("any: "+alg, by(open.assertion(nil, verifytest.As(alg)))))
		add := func(name string, a *asserter, good bool) {
			r := by(a.assertion(nil, verifytest.As(alg)))
			if good {
				rules = append(rules, grants(name+": "+alg, r))
			} else {
				rules = append(rules, refuses(name+": "+alg, r, 401, tokenep.InvalidClient))
			}
		}
		add("registered", pinned, alg == "PS256")
		add("named by the key", named, alg == "RS256")
	}
	f.Run(t, append(rules, grants("without kid", by(open.assertion(nil, verifytest.As("PS256"), header("kid", nil))))))
}

// newTwin returns keys of somebody who says to be a client that has none.
func newTwin(f *tokeneptest.Server, id string) *asserter {
	twin := newAsserter(id)
	twin.Now = f.Clock.Now
	return twin
}

// RFC 8725, and what was broken elsewhere: assertions that are made by whoever has no key.
func TestAssertionAttacks(t *testing.T) {
	robot, other := newAsserter("robot", "ES256", "RS256"), newAsserter("other", "ES256", "RS256", "EdDSA")
	f := newAssertions(t, robot, other)
	public, err := robot.KeySet().Key(t.Context(), "RS256", "RS256")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) verifytest.Option {
		return verifytest.Signature(func(input string, _ []byte) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			return mac.Sum(nil)
		})
	}
	good := robot.assertion
	honest := good(nil)
	parts := strings.Split(honest, ".")
	forged := func(name, assertion string) rule { return refuses(name, by(assertion), 401, tokenep.InvalidClient) }
	f.Run(t, []rule{
		forged("8725 2.1: alg none", good(nil, verifytest.Unsigned())),
		forged("8725 2.1: alg None", good(nil, verifytest.Unsigned(), header("alg", "None"))),
		forged("8725 2.1: no signature", parts[0]+"."+parts[1]+"."),
		forged("8725 2.1: HS256 with the public key, PEM", good(nil, header("alg", "HS256"), header("kid", "RS256"), hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))),
		forged("8725 2.1: HS256 with the public key, DER", good(nil, header("alg", "HS256"), header("kid", "RS256"), hs256(der))),
		forged("8725 2.1: HS256 with the key set", good(nil, header("alg", "HS256"), hs256(robot.JWKS()))),
		forged("8725 3.1: another algorithm for the key", good(nil, algorithm("RS256"), verifytest.As("PS256"))),
		forged("8725 3.1: alg names another than that of kid", good(nil, header("alg", "RS256"))),
		forged("8725 3.10: its own key in the header", good(nil, verifytest.SignedBy(other.Issuer), header("jwk", jwk(t, other)))),
		forged("8725 3.10: the URL of its own keys", good(nil, verifytest.SignedBy(other.Issuer), header("jku", "https://other.example/keys"))),
		forged("7515 4.1.11: crit", good(nil, header("crit", []string{"exp"}))),
		forged("7515 4.1.11: an empty crit", good(nil, header("crit", []string{}))),
		forged("7797: an unencoded payload", good(nil, header("b64", false), header("crit", []string{"b64"}))),
		forged("another client's key, with the kid of one's own", good(nil, verifytest.SignedBy(other.Issuer))),
		forged("another client's key and kid", other.assertion(claims{"iss": "robot", "sub": "robot"}, algorithm("EdDSA"))),
		forged("one's own key, for another client", good(claims{"iss": "other", "sub": "other"})),
		forged("one's own key, sub another client", good(claims{"sub": "other"})),
		forged("claims of another assertion", parts[0]+"."+strings.Split(good(claims{"jti": "x"}), ".")[1]+"."+parts[2]),
		forged("a second iss", good(nil, verifytest.RawPayload(fmt.Sprintf(`{"iss":"other","iss":"robot","sub":"robot","aud":%q,"exp":%d,"jti":"x"}`, tokeneptest.Issuer, f.Clock.Now().Unix()+60)))),
		forged("a second spelling", honest+"="),
		forged("an access token of this server, for the client", f.Mint(t, tokenep.Claims{Subject: "robot", ClientID: "robot", Audience: []string{tokeneptest.Issuer}})),
		grants("and the honest one, which none of these has spent", by(honest)),
	})
	if log := f.Log.String(); strings.Contains(log, honest) || strings.Contains(log, parts[2]) {
		t.Error("the log shows an assertion")
	}
}

func jwk(t *testing.T, a *asserter) any {
	t.Helper()
	var set struct{ Keys []any }
	if err := json.Unmarshal(a.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}

// RFC 6749 §10: whatever is wrong, the answer is the same, byte for byte.
func TestAssertionFailuresLookAlike(t *testing.T) {
	robot := newAsserter("robot")
	f := newAssertions(t, robot)
	spent := by(robot.assertion(nil))
	f.Granted(t, spent)
	want := f.Send(t, by("x"))
	want.Header.Del("Date")
	for name, r := range map[string]request{
		"unknown client": by(robot.assertion(claims{"iss": "x", "sub": "x"})), "replay": spent, "expired": by(robot.assertion(claims{"exp": 1})),
		"a client of a secret": by(newTwin(f, "billing").assertion(nil)), "a secret": post("grant_type", cc, "client_id", "billing", "client_secret", "x"),
		"half an assertion": post("grant_type", cc, "client_assertion", "x"), "client_id": by(robot.assertion(nil), "client_id", "x"),
	} {
		a := f.Send(t, r)
		a.Header.Del("Date")
		if a.Status != want.Status || string(a.Body) != string(want.Body) || !reflect.DeepEqual(a.Header, want.Header) {
			t.Errorf("%s: %d %s %v", name, a.Status, a.Body, a.Header)
		}
	}
}

// A client may be registered for several methods, and uses one of them in each request.
func TestSeveralMethods(t *testing.T) {
	robot := newAsserter("robot")
	robot.client.Secrets = tokeneptest.NewClient("robot").Secrets
	robot.client.AuthMethods = []string{tokenep.AuthPost, tokenep.AuthPrivateKeyJWT}
	f := newAssertions(t, robot)
	f.Run(t, []rule{
		grants("the body", body("robot", "robot-secret")),
		grants("an assertion", by(robot.assertion(nil))),
		refuses("Basic, which it is not registered for", plain.By("robot"), 401, tokenep.InvalidClient),
		refuses("its id alone", post("grant_type", cc, "client_id", "robot"), 401, tokenep.InvalidClient),
		refuses("two at once", by(robot.assertion(nil), "client_id", "robot", "client_secret", "robot-secret"), 400, tokenep.InvalidRequest),
	})
	f.Send(t, post("token", "x").At(tokeneptest.RevokePath).By("robot")).Refused(t, 401, tokenep.InvalidClient)
}

// The metadata say what an assertion may be signed with (RFC 8414 §2).
func TestAssertionMetadata(t *testing.T) {
	a := newAssertions(t).Send(t, tokeneptest.Get("/.well-known/oauth-authorization-server"))
	for _, endpoint := range []string{"token", "revocation"} {
		if got := a.JSON[endpoint+"_endpoint_auth_signing_alg_values_supported"]; !tokeneptest.EqualJSON(got, verify.Algorithms()) {
			t.Errorf("%s: %v", endpoint, got)
		}
	}
}
