package clientauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
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

// newTwin returns keys of somebody who says to be a client that has none.
func newTwin(f *tokeneptest.Server, id string) *asserter {
	twin := newAsserter(id)
	twin.Now = f.Clock.Now
	return twin
}

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

// RFC 7523 §3, point 7: an assertion is good once, at all endpoints together, and is not spent by a
// request in which it was found bad.
func TestAssertionReplay(t *testing.T) {
	robot, other := newAsserter("robot"), newAsserter("other")
	f := newAssertions(t, robot, other)
	same := claims{"jti": "one", "exp": f.Clock.Now().Unix() + 600}
	refused := func(r request) {
		t.Helper()
		f.Send(t, r).Refused(t, 401, tokenep.InvalidClient)
	}
	refused(by(robot.assertion(same, verifytest.SignedBy(other.Issuer)))) // does not spend it
	refused(by(robot.assertion(same), "client_id", "other"))
	f.Granted(t, by(robot.assertion(same)))
	refused(by(robot.assertion(same)))
	refused(post("token", "x", "client_assertion_type", clientauth.AssertionType, "client_assertion", robot.assertion(same)).At(tokeneptest.RevokePath))
	f.Granted(t, by(other.assertion(same))) // the jti of another client
	f.Clock.Advance(620 * time.Second)      // within the leeway
	refused(by(robot.assertion(same)))

	// What is refused after the client was authenticated has spent it all the same.
	next := robot.assertion(claims{"jti": "two"})
	f.Send(t, by(next, "scope", "none")).Refused(t, 400, tokenep.InvalidScope)
	refused(by(next))

	f.Store.SetAway(true)
	later := robot.assertion(nil)
	f.Send(t, by(later)).Refused(t, 503, tokenep.TemporarilyUnavailable)
	f.Store.SetAway(false)
	f.Granted(t, by(later))
}

// Twenty requests with one assertion, at once: exactly one passes.
func TestAssertionReplayAtOnce(t *testing.T) {
	robot := newAsserter("robot")
	f := newAssertions(t, robot)
	for range 5 {
		r := by(robot.assertion(nil))
		var granted atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				switch a := f.Send(t, r); a.Status {
				case http.StatusOK:
					granted.Add(1)
				case http.StatusUnauthorized:
				default:
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
		all.Wait()
		if n := granted.Load(); n != 1 {
			t.Errorf("%d of 20 requests with one assertion passed", n)
		}
	}
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

// RFC 7591 §2: keys of a client in a file and at a URL, which change while the server runs.
func TestAssertionKeys(t *testing.T) {
	var served atomic.Pointer[[]byte]
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := served.Load(); text != nil {
			_, _ = w.Write(*text)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer idp.Close()
	file, remote := newAsserter("file", "ES256"), newAsserter("remote", "ES256")
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, file.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	file.client.JWKS, file.client.JWKSFile = nil, path
	remote.client.JWKS, remote.client.JWKSURI = nil, idp.URL+"/keys"
	f := newAssertions(t, file, remote)
	f.Granted(t, by(file.assertion(nil)))

	early := remote.assertion(nil)
	f.Send(t, by(early)).Refused(t, 503, tokenep.TemporarilyUnavailable) // it may be good
	text := remote.JWKS()
	served.Store(&text)
	f.Clock.Advance(10 * time.Second)
	f.Granted(t, by(early))
	f.Send(t, by(remote.assertion(nil, header("kid", "x")))).Refused(t, 401, tokenep.InvalidClient)

	// A new key is known at once, or ten seconds after the last fetch.
	next := newAsserter("remote", "EdDSA")
	next.Now = f.Clock.Now
	text2 := next.JWKS()
	served.Store(&text2)
	f.Send(t, by(next.assertion(nil))).Refused(t, 401, tokenep.InvalidClient)
	f.Clock.Advance(10 * time.Second)
	f.Granted(t, by(next.assertion(nil)))
	f.Send(t, by(remote.assertion(nil))).Refused(t, 401, tokenep.InvalidClient)

	// A new configuration goes on with the keys that the old one has fetched.
	served.Store(nil)
	config := f.Config
	g := f.Next(t, config)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Granted(t, by(next.assertion(nil)))
}

// Clients that were registered at run time may have keys, and then have no secret.
func TestAssertionStored(t *testing.T) {
	made := newAsserter("made")
	f := newAssertions(t)
	made.Now = f.Clock.Now
	secret, err := f.Clients.Add(t.Context(), made.client)
	if err != nil || secret != "" {
		t.Fatalf("%q, %v", secret, err)
	}
	f.Granted(t, by(made.assertion(nil)))
	if _, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "file", JWKSFile: "/etc/passwd"}); err == nil {
		t.Error("a client of the store has a file")
	}
	both := tokenep.Client{ID: "both", JWKS: made.JWKS(), GrantTypes: []string{cc}, AuthMethods: []string{tokenep.AuthBasic, tokenep.AuthPrivateKeyJWT}}
	if secret, err = f.Clients.Add(t.Context(), both); err != nil || secret == "" {
		t.Fatalf("%q, %v", secret, err)
	}
	f.Granted(t, plain.Basic("both", secret))
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
