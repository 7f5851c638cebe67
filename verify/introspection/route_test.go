package introspection_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const (
	idp = "https://opaque.example"
	api = "https://api.example"
)

var start = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// site is an introspection endpoint, and a route whose tokens are asked about there.
type site struct {
	*httptest.Server // the route
	url              string
	own              *verifytest.Issuer // whose JWTs the route takes too
	clock            *verifytest.Clock
	asked            atomic.Int64

	mu     sync.Mutex
	answer http.HandlerFunc
}

// newSite returns a site. change, if not nil, changes the issuer and the guard.
func newSite(t testing.TB, answer http.HandlerFunc, change func(*introspection.Options, *verify.TrustedIssuer, *verify.Guard)) *site {
	t.Helper()
	s := &site{clock: verifytest.NewClock(start), own: verifytest.New("https://jwt.example", api), answer: answer}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(endpoint.Close)
	s.url = endpoint.URL
	o := introspection.Options{URL: s.url, ClientID: "orders", ClientSecret: "secret", Issuer: idp, Answers: outbound.Answers{Now: s.clock.Now}}
	issuer, guard := verify.TrustedIssuer{Name: idp, Audience: []string{api}}, new(verify.Guard)
	if change != nil {
		change(&o, &issuer, guard)
	}
	server, err := introspection.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	issuer.Introspect = server.Introspect
	guard.Verifier, err = verify.New(verify.Config{
		Issuers: []verify.TrustedIssuer{issuer, s.own.Trust()}, Leeway: 30 * time.Second, Now: s.clock.Now, Cache: verify.NewCache(100, s.clock.Now),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "%s of %s", token.Subject, token.Issuer)
	})))
	t.Cleanup(s.Server.Close)
	return s
}

func (s *site) says(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// get sends a token, and returns the answer and its body.
func (s *site) get(t testing.TB, token string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// status expects the status of a request with a token.
func (s *site) status(t testing.TB, token string, want int) {
	t.Helper()
	answer, _ := s.get(t, token)
	retry, challenge := answer.Header.Get("Retry-After"), answer.Header.Get("WWW-Authenticate")
	if answer.StatusCode != want || (want == 503) != (retry != "") || (want == 401) != (challenge != "") {
		t.Errorf("%.40s: %d, Retry-After %q, challenge %q; want %d", token, answer.StatusCode, retry, challenge, want)
	}
}

// json answers with JSON.
func json(format string, values ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, format, values...)
	}
}

func fails(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// RFC 7662 §2.3: the log has the error code of an answer, and nothing else that it says.
func TestErrorOfAnswer(t *testing.T) {
	var told string
	s := newSite(t, nil, func(_ *introspection.Options, _ *verify.TrustedIssuer, guard *verify.Guard) {
		guard.Refused = func(_ *http.Request, refusal *verify.Error) { told = refusal.Reason() }
	})
	for i, row := range []struct {
		status       int
		answer, want string
	}{
		{401, `{"error":"invalid_client"}`, "the answer has status 401, invalid_client"},
		{400, `{"error":"unsupported_token_type","error_description":"x"}`, "the answer has status 400, unsupported_token_type"},
		{400, `{"error":"opaque-1"}`, "the answer has status 400"},
		{400, `{"error":{"code":1}}`, "the answer has status 400"},
		{500, `oops`, "the answer has status 500"},
		{502, ``, "the answer has status 502"},
	} {
		s.says(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(row.status)
			_, _ = io.WriteString(w, row.answer)
		})
		s.clock.Advance(time.Minute)
		s.status(t, fmt.Sprint("opaque-", i), 503)
		if want := "the token cannot be checked at the moment: " + row.want; told != want {
			t.Errorf("%s: %q, want %q", row.answer, told, want)
		}
	}
}

// RFC 7662 §2.2: what the members of an answer are to a route.
func TestResponse(t *testing.T) {
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		status int
	}{
		{"no more than must be", json(`{"active":true,"aud":%q}`, api), 200},
		{"all members", json(`{"active":true,"aud":[%q,"x"],"iss":%q,"sub":"ada","client_id":"shop","username":"ada","token_type":"Bearer","exp":%d,"iat":%d,"nbf":%d,"jti":"1","scope":"read write"}`,
			api, idp, at(time.Minute), at(0), at(0)), 200},
		{"null members", json(`{"active":true,"aud":%q,"iss":null,"exp":null,"cnf":null,"scope":null,"jti":null}`, api), 200},
		{"iat without exp", json(`{"active":true,"aud":%q,"iat":%d}`, api, at(0)), 200},
		{"not active", json(`{"active":false}`), 401},
		{"no aud", json(`{"active":true}`), 401},
		{"another aud", json(`{"active":true,"aud":"https://other.example"}`), 401},
		{"another iss", json(`{"active":true,"aud":%q,"iss":"https://jwt.example"}`, api), 401},
		{"exp past", json(`{"active":true,"aud":%q,"exp":%d}`, api, at(-time.Minute)), 401},
		{"nbf to come", json(`{"active":true,"aud":%q,"nbf":%d}`, api, at(time.Minute)), 401},
		{"iat to come", json(`{"active":true,"aud":%q,"iat":%d}`, api, at(time.Minute)), 401},
		{"bound to a key", json(`{"active":true,"aud":%q,"cnf":{"jkt":"x"}}`, api), 401},
		{"DPoP without a key", json(`{"active":true,"aud":%q,"token_type":"DPoP"}`, api), 401},
		{"a refresh token of Hydra", json(`{"active":true,"aud":%q,"token_use":"refresh_token"}`, api), 401},
		{"a refresh token of Keycloak", json(`{"active":true,"aud":%q,"typ":"Refresh"}`, api), 401},
		{"an ID token", json(`{"active":true,"aud":%q,"at_hash":"x"}`, api), 401},
		{"active is said twice", json(`{"active":false,"active":true,"aud":%q}`, api), 503},
		{"sub is not Unicode", json(`{"active":true,"aud":%q,"sub":"a\ud800"}`, api), 503},
		{"sub is not UTF-8", json("{\"active\":true,\"aud\":%q,\"sub\":\"a\xff\"}", api), 503},
		{"active is a text", json(`{"active":"true","aud":%q}`, api), 503},
		{"no active", json(`{"aud":%q}`, api), 503},
		{"exp is a text", json(`{"active":true,"aud":%q,"exp":"soon"}`, api), 503},
		{"our secret is wrong", fails(401), 503},
		{"our scope is not enough", fails(403), 503},
		{"too many requests", fails(429), 503},
		{"an error", fails(500), 503},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, 503},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, 503},
		{"too long", json(`{"active":true,"aud":%q,"x":%q}`, api, make([]byte, 65<<10)), 503},
	} {
		t.Run(tc.name, func(t *testing.T) { newSite(t, tc.answer, nil).status(t, "opaque", tc.status) })
	}
}

// Rules, audience and expiry are those of each request, whatever is remembered; and what is
// remembered ends with the token.
func TestAnswersAreFactsAndNoDecisions(t *testing.T) {
	s := newSite(t, json(`{"active":true,"aud":%q,"scope":"read","sub":"ada","exp":%d}`, api, start.Add(10*time.Second).Unix()),
		func(_ *introspection.Options, _ *verify.TrustedIssuer, g *verify.Guard) {
			g.Scope = verify.Scope{"read"}
		})
	for range 3 {
		if _, body := s.get(t, "x"); body != "ada of "+idp {
			t.Errorf("it is %q", body)
		}
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times, want once", n)
	}
	s.clock.Advance(10 * time.Second)
	s.says(json(`{"active":false}`))
	s.status(t, "x", 401)
	s = newSite(t, json(`{"active":true,"aud":%q,"scope":"read"}`, api),
		func(_ *introspection.Options, _ *verify.TrustedIssuer, g *verify.Guard) {
			g.Scope = verify.Scope{"write"}
		})
	if answer, _ := s.get(t, "x"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("without the scope it is %d", answer.StatusCode)
	}
}

// A JWT of an issuer whose keys are known is verified, however it ends, and shown to nobody. One of
// any other issuer may be a token of the one that is asked.
func TestJWTsAreVerified(t *testing.T) {
	s := newSite(t, json(`{"active":true,"aud":%q}`, api), nil)
	claims := verifytest.Claims{"iat": start.Unix(), "exp": start.Add(time.Minute).Unix()}
	jwt := s.own.Sign(claims)
	first, rest, _ := strings.Cut(jwt, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	s.status(t, jwt, 200)
	s.status(t, jwt, 200)
	huge := fmt.Sprintf(`{"iss":"https://jwt.example","aud":%q,"sub":"ada","client_id":"c","jti":"1","iat":%d,"exp":%d,"x":1e999}`, api, start.Unix(), start.Unix()+60)
	s.status(t, s.own.Sign(nil, verifytest.RawPayload(huge)), 200)
	for _, bad := range []string{
		jwt[:len(jwt)-4] + "AAAA", first + "." + payload + ".", first + "." + payload + "==." + signature, "x." + payload + ".x",
		s.own.Sign(verifytest.Claims{"exp": 1, "iat": 1}), s.own.Sign(claims, verifytest.Header("alg", "none")),
	} {
		answer, _ := s.get(t, bad)
		if answer.StatusCode != 401 && answer.StatusCode != 400 {
			t.Errorf("%s: %d", bad, answer.StatusCode)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Fatalf("the other server was asked %d times about JWTs of an issuer whose keys are known", n)
	}
	other := verifytest.New(idp, api)
	s.status(t, other.Sign(claims), 200)
	if n := s.asked.Load(); n != 1 {
		t.Errorf("it was asked %d times about a JWT of its own", n)
	}
}

// A verifier that knows keys of an issuer, and one that asks it, share a cache: what the first has
// proven is no answer for the second, in either order.
func TestSharedCacheDecidesForNobody(t *testing.T) {
	issuer := verifytest.New(idp, api)
	clock := verifytest.NewClock(start)
	issuer.Now = clock.Now
	cache := verify.NewCache(100, clock.Now)
	byKeys := issuer.Trust()
	asked := 0
	byAnswer := verify.TrustedIssuer{Name: idp, Audience: []string{api}, Introspect: func(context.Context, string) (*verify.Token, error) {
		asked++
		return nil, verify.ErrBadToken
	}}
	var verifiers [2]*verify.Verifier
	for i, trusted := range []verify.TrustedIssuer{byKeys, byAnswer} {
		var err error
		if verifiers[i], err = verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: clock.Now, Cache: cache}); err != nil {
			t.Fatal(err)
		}
	}
	jwt := issuer.Sign(nil)
	for range 2 {
		if _, err := verifiers[0].Verify(t.Context(), verify.Presentation{Token: jwt}); err != nil {
			t.Errorf("by its key: %v", err)
		}
		if _, err := verifiers[1].Verify(t.Context(), verify.Presentation{Token: jwt}); err == nil {
			t.Error("it is good where its issuer says that it is not")
		}
	}
	if asked != 2 {
		t.Errorf("its issuer was asked %d times, want 2", asked)
	}
}

// While nobody knows, each token is 503 and is asked about again soon; those that are known go on.
func TestOutage(t *testing.T) {
	s := newSite(t, json(`{"active":true,"aud":%q}`, api), nil)
	s.status(t, "known", 200)
	s.says(fails(502))
	s.status(t, "new", 503)
	s.status(t, "known", 200)
	s.clock.Advance(outbound.DefaultGood)
	s.status(t, "known", 503)
	s.says(json(`{"active":true,"aud":%q}`, api))
	s.clock.Advance(time.Second)
	s.status(t, "known", 200)
	s.status(t, "new", 200)
}
