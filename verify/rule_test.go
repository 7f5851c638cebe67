package verify_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// readOnly is a rule by method and claim.
func readOnly(r *http.Request, t *verify.Token) error {
	if r.Method == http.MethodGet || t.Claims["writer"] == true {
		return nil
	}
	return &verify.Error{Status: http.StatusForbidden, Code: verify.InsufficientScope,
		Description: "only writers may do that", Scope: verify.Scope{"write"}}
}

// fresh is a rule of RFC 9470 §3: its challenge has a parameter of its own.
func fresh(_ *http.Request, t *verify.Token) error {
	if t.Claims["acr"] == "strong" {
		return nil
	}
	return &verify.Error{Status: http.StatusUnauthorized, Code: "insufficient_user_authentication",
		Description: "a stronger login is needed", Parameters: []verify.Parameter{{Name: "acr_values", Value: "strong"}}}
}

// Rules run on every request, for cached tokens too, and see the request. The challenge has what
// the refusal asks for.
func TestGuardRules(t *testing.T) {
	issuer := newIssuer()
	verifier := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(10, issuer.Now) })
	guard := &verify.Guard{Verifier: verifier, Scope: verify.Scope{"read"}, Rules: []verify.Rule{readOnly, fresh}}
	reader := issuer.Sign(verifytest.Claims{"scope": "read", "acr": "strong"})
	for _, c := range []struct {
		name, method, token string
		status              int
		challenge           string
	}{
		{"permitted", "GET", reader, 200, ""},
		{"the same token, by another method", "POST", reader, 403,
			`Bearer realm="api", error="insufficient_scope", error_description="only writers may do that", scope="write"`},
		{"permitted by a claim", "POST", issuer.Sign(verifytest.Claims{"scope": "read", "acr": "strong", "writer": true}), 200, ""},
		{"RFC 9470 §3", "GET", issuer.Sign(verifytest.Claims{"scope": "read", "acr": "weak"}), 401,
			`Bearer realm="api", error="insufficient_user_authentication", error_description="a stronger login is needed", scope="read", acr_values="strong"`},
		{"the scope comes first", "POST", issuer.Sign(nil), 403,
			`Bearer realm="api", error="insufficient_scope", error_description="the access token lacks a scope that is needed here", scope="read"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time the token is cached
				r, w := httptest.NewRequest(c.method, "/orders", nil), httptest.NewRecorder()
				r.Header.Set("Authorization", "Bearer "+c.token)
				guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
				if got := w.Header().Get("WWW-Authenticate"); w.Code != c.status || got != c.challenge {
					t.Errorf("got %d %s\nwant %d %s", w.Code, got, c.status, c.challenge)
				}
			}
		})
	}
}

// A request that passes without a token meets no rule. The error of a refused request has the
// token, for the log. An error that is not an *Error is a 500.
func TestGuardRuleErrors(t *testing.T) {
	issuer := newIssuer()
	broken := errors.New("broken")
	shared := &verify.Error{Status: http.StatusForbidden, Code: verify.InsufficientScope}
	for _, c := range []struct {
		name   string
		rule   verify.Rule
		status int
	}{
		{"refused", func(*http.Request, *verify.Token) error { return shared }, 403},
		{"broken", func(*http.Request, *verify.Token) error { return broken }, 500},
		{"away", func(*http.Request, *verify.Token) error { return &verify.Error{Status: 503} }, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			guard := &verify.Guard{Verifier: issuer.Verifier(), Optional: true, Rules: []verify.Rule{c.rule}}
			r := httptest.NewRequest("GET", "/", nil)
			if token, err := guard.Admit(r); token != nil || err != nil {
				t.Errorf("without token: %v, %v", token, err)
			}
			issuer.Authorize(r, nil)
			_, err := guard.Admit(r)
			refused, ok := errors.AsType[*verify.Error](err)
			if !ok || refused.Status != c.status || refused.Token == nil || refused.Token.Subject != "alice" {
				t.Errorf("got %+v, want %d and the token", err, c.status)
			}
			if len(r.Header["Authorization"]) > 0 {
				t.Error("the token goes on to the error handler")
			}
		})
	}
	if shared.Token != nil || shared.Challenges != nil {
		t.Errorf("a shared refusal was changed: %+v", shared)
	}
	if (&verify.Guard{Verifier: issuer.Verifier(), Rules: []verify.Rule{nil}}).Validate() == nil {
		t.Error("a rule that is nil is taken")
	}
}

// The log says what the request had, and what was needed: the challenge says the second alone, and
// the client knows the first.
func TestReasonsOfRefusals(t *testing.T) {
	issuer := newIssuer()
	reader := "Bearer " + issuer.Sign(verifytest.Claims{"scope": "read"})
	all := verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"read", "write"}}
	const lacks = "insufficient_scope: the access token lacks a scope that is needed here: "
	for _, c := range []struct {
		name          string
		guard         *verify.Guard
		earlier       *verify.Guard // in front
		authorization string
		reason        string
	}{
		{"scope", &all, nil, reader, lacks + `its scope is "read", without "write"`},
		{"no scope", &all, nil, "Bearer " + issuer.Sign(nil), lacks + `its scope is absent, without "read"`},
		{"any scope", &verify.Guard{Verifier: issuer.Verifier(), AnyScope: verify.Scope{"eu", "us"}}, nil, reader,
			lacks + `its scope is "read", without any of "eu", "us"`},
		{"another issuer", &all, nil, "Bearer " + issuer.Sign(verifytest.Claims{"iss": "https://issuer.example/"}),
			"invalid_token: the issuer of the token is not trusted here: " +
				`iss is "https://issuer.example/", expected "https://issuer.example"`},
		{"no issuer", &all, nil, "Bearer " + issuer.Sign(verifytest.Claims{"iss": nil}),
			`invalid_token: the issuer of the token is not trusted here: iss is "", expected "https://issuer.example"`},
		{"RFC 7516 §7.1 encrypted", &all, nil, "Bearer eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA",
			"invalid_token: the token is not a signed JWT: five parts, so it is encrypted (RFC 7516 §7.1)"},
		{"no token", &all, nil, "", "unauthorized: no bearer token"},
		{"no scheme", &all, nil, issuer.Sign(nil), "unauthorized: no bearer token: the Authorization header has another scheme, or none"},
		{"Basic", &all, nil, "Basic YTpi", "unauthorized: no bearer token: the Authorization header has another scheme, or none"},
		{"a second guard", &all, &verify.Guard{Verifier: issuer.Verifier()}, reader,
			"unauthorized: no bearer token: another guard in front of this one has let the request in, and removed it"},
		{"a second guard, behind one that passed it on", &all, &verify.Guard{Verifier: issuer.Verifier(), KeepAuthorization: true}, reader,
			lacks + `its scope is "read", without "write"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var handler http.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if _, err := c.guard.Admit(r); err == nil || err.Error() != c.reason {
					t.Errorf("%v\nwant %s", err, c.reason)
				}
			})
			if c.earlier != nil {
				handler = c.earlier.Handler(handler)
			}
			r := httptest.NewRequest("GET", "/", nil)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			handler.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
}

// Handler says in the body what is in the challenge, and tells Refused the rest.
func TestRefusalOfHandler(t *testing.T) {
	issuer := newIssuer()
	var told []string
	guard := &verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"write"},
		Refused: func(r *http.Request, refusal *verify.Error) {
			told = append(told, r.Method+" "+refusal.Reason())
		}}
	for _, c := range []struct {
		authorization string
		status        int
		body, told    string
	}{
		{"", 401, `{"error_description":"no access token was sent","scope":"write"}`, "GET no bearer token"},
		{"Bearer junk", 401, `{"error":"invalid_token","error_description":"the token is not a signed JWT","scope":"write"}`,
			"GET the token is not a signed JWT: not three parts between two dots"},
		{"Bearer " + issuer.Sign(verifytest.Claims{"scope": "read"}), 403,
			`{"error":"insufficient_scope","error_description":"the access token lacks a scope that is needed here","scope":"write"}`,
			`GET the access token lacks a scope that is needed here: its scope is "read", without "write"`},
		{"Bearer " + issuer.Sign(verifytest.Claims{"scope": "write"}), 200, "", ""},
	} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		told = nil
		guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if said := strings.Join(told, "; "); w.Code != c.status || w.Body.String() != c.body || said != c.told {
			t.Errorf("%.20q: %d %s, told %q\nwant %d %s, told %q", c.authorization, w.Code, w.Body, said, c.status, c.body, c.told)
		}
	}
}

// Each challenge is a line (RFC 9110 §11.6.1), and earlier lines are replaced.
func TestChallenges(t *testing.T) {
	h := http.Header{}
	h.Set("WWW-Authenticate", "Basic")
	err := &verify.Error{Status: 401, Code: verify.InvalidToken, Challenges: []verify.Challenge{
		{Scheme: "DPoP", Parameters: []verify.Parameter{{Name: "error", Value: "invalid_token"}, {Name: "algs", Value: "ES256"}}},
		{Scheme: "Bearer"},
	}}
	status := (&verify.Guard{Realm: "orders"}).WriteRefusal(h, err)
	want := []string{`DPoP error="invalid_token", algs="ES256"`, "Bearer"}
	if got := h.Values("WWW-Authenticate"); status != 401 || !slices.Equal(got, want) {
		t.Errorf("%d %q, want %q", status, got, want)
	}
}

// What a scope-token includes, at any depth, it is as good as. Challenges name what is needed.
func TestScopeImplies(t *testing.T) {
	issuer := newIssuer()
	implies := map[string]verify.Scope{"root": {"admin"}, "admin": {"write", "export"}, "write": {"read"}}
	all := &verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"read", "export"}, ScopeImplies: implies}
	one := &verify.Guard{Verifier: issuer.Verifier(), AnyScope: verify.Scope{"write", "other"}, ScopeImplies: implies}
	for _, c := range []struct {
		scope    string
		all, one bool
	}{
		{"read export", true, false},
		{"write export", true, true},
		{"write", false, true},
		{"admin", true, true},
		{"root", true, true},
		{"read", false, false},
		{"Admin", false, false},
		{"", false, false},
	} {
		for guard, want := range map[*verify.Guard]bool{all: c.all, one: c.one} {
			r := httptest.NewRequest("GET", "/", nil)
			issuer.Authorize(r, verifytest.Claims{"scope": c.scope})
			_, err := guard.Admit(r)
			if (err == nil) != want {
				t.Errorf("%q: %v, want %v", c.scope, err, want)
			}
			refusal, _ := errors.AsType[*verify.Error](err)
			if err != nil && !slices.Equal(refusal.Scope, slices.Concat(guard.Scope, guard.AnyScope)) {
				t.Errorf("%q: the challenge asks for %q", c.scope, refusal.Scope)
			}
		}
	}
	for _, wrong := range []map[string]verify.Scope{
		{"a": {"a"}}, {"a": {"b"}, "b": {"a"}}, {"a": {"b"}, "b": {"c"}, "c": {"a"}}, {"a b": {"c"}}, {"a": {""}},
	} {
		if (&verify.Guard{Verifier: issuer.Verifier(), ScopeImplies: wrong}).Validate() == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}
