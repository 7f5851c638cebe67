package verify_test

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const get = "GET /orders HTTP/1.1\nHost: api.example\n"

// RFC 6750 §2.1 and §3.1, over a socket.
func TestGuardRefusals(t *testing.T) {
	issuer := newIssuer()
	f := newFront(t, issuer, &verify.Guard{Scope: verify.Scope{"read"}})
	for _, c := range []struct {
		name, lines string
		status      int
		code        string
	}{
		{"a good token", "Authorization: Bearer TOKEN\n", 200, ""},
		{"RFC 9110 §5.5 space around the value is not of it", "Authorization: \t Bearer TOKEN \t\n", 200, ""},
		{"RFC 6750 §3.1 no Authorization", "", 401, ""},
		{"RFC 6750 §2.1 no token", "Authorization: Bearer\n", 400, verify.InvalidRequest},
		{"RFC 6750 §2.1 two spaces", "Authorization: Bearer  TOKEN\n", 200, ""},
		{"RFC 6750 §2.1 tab", "Authorization: Bearer\tTOKEN\n", 400, verify.InvalidRequest},
		{"RFC 6750 §2.1 two words", "Authorization: Bearer TOKEN b\n", 400, verify.InvalidRequest},
		{"RFC 6750 §2.1 colon", "Authorization: Bearer: TOKEN\n", 401, ""},
		{"RFC 6750 §2.1 Token", "Authorization: Token TOKEN\n", 401, ""},
		{"RFC 6750 §2.1 Basic", "Authorization: Basic YTpi\n", 401, ""},
		{"RFC 6750 §2.1 BearerX", "Authorization: BearerX TOKEN\n", 401, ""},
		{"RFC 6750 §2.1 comma list", "Authorization: Bearer TOKEN, Bearer TOKEN\n", 400, verify.InvalidRequest},
		{"two headers", "Authorization: Bearer TOKEN\nauthorization: Bearer TOKEN\n", 400, verify.InvalidRequest},
		{"another spelling of the header", "Authorization_: Bearer TOKEN\n", 401, ""},
		{"8 KiB and one", "Authorization: Bearer " + strings.Repeat("a", 8193) + "\n", 401, verify.InvalidToken},
		{"health check", "User-Agent: kube-probe/1.30\nX-Forwarded-For: 127.0.0.1\n", 401, ""},
		{"forwarded method and URI", "X-Forwarded-Method: OPTIONS\nX-Forwarded-Uri: /public\nX-Original-Url: /public\n", 401, ""},
		{"RFC 6750 §3.1 junk", "Authorization: Bearer junk\n", 401, verify.InvalidToken},
		{"RFC 9068 §4 wrong audience", "Authorization: Bearer " + issuer.Sign(verifytest.Claims{"aud": "other"}) + "\n", 401, verify.InvalidToken},
		{"RFC 9068 §4 other issuer", "Authorization: Bearer " + issuer.Sign(verifytest.Claims{"iss": "https://other.example"}) + "\n", 401, verify.InvalidToken},
		{"expired", "Authorization: Bearer " + issuer.Sign(verifytest.Claims{"exp": noon.Unix() - 60}) + "\n", 401, verify.InvalidToken},
		{"RFC 6750 §3.1 scope", "Authorization: Bearer " + issuer.Sign(verifytest.Claims{"scope": "write"}) + "\n", 403, verify.InsufficientScope},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := f.raw(t, get+c.lines+"\n")
			if c.status == 200 {
				got.seen(t)
				return
			}
			got.refused(t, c.status, c.code)
			if !strings.Contains(got.Header.Get("WWW-Authenticate"), `scope="read"`) {
				t.Errorf("the challenge does not list the scope: %q", got.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// A malformed header is refused by the server. A token that continues on a folded line is refused
// too: the server reads the fold as a space (RFC 9112 §5.2).
func TestGuardBrokenHeaders(t *testing.T) {
	f := newFront(t, newIssuer(), &verify.Guard{Strip: []string{"X-User-Id"}})
	for name, lines := range map[string]string{
		"RFC 9112 §5.2 obs-fold in the token":     "Authorization: Bearer TOKEN\n TOKEN\n",
		"RFC 9110 §5.5 NUL":                       "Authorization: Bearer TOKEN\x00\n",
		"RFC 9110 §5.5 carriage return":           "Authorization: Bearer TOKEN\rX-User-Id: admin\n",
		"RFC 9112 §5.1 space before the colon":    "Authorization: Bearer TOKEN\nX-User-Id : admin\n",
		"RFC 9110 §5.1 space in the name":         "Authorization: Bearer TOKEN\nX User Id: admin\n",
		"RFC 9112 §5.2 obs-fold under a new name": "Authorization: Bearer TOKEN\n\tX-User-Id: admin\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := f.raw(t, get+lines+"\n"); got.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d: %s", got.StatusCode, got.body)
			}
		})
	}
}

// A header above the server's limit does not reach the guard.
func TestGuardHugeHeader(t *testing.T) {
	f := newFront(t, newIssuer(), &verify.Guard{})
	request, err := http.NewRequest("GET", f.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 2<<20))
	response, err := f.Client().Do(request)
	if err != nil {
		return // the server may close the connection while the header is still on its way
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

// RFC 6750 §3.1: insufficient_scope, with all of Scope and one of AnyScope.
func TestGuardScopePolicy(t *testing.T) {
	issuer := newIssuer()
	f := newFront(t, issuer, &verify.Guard{Scope: verify.Scope{"a", "b"}, AnyScope: verify.Scope{"c", "d", "a"}})
	for _, c := range []struct {
		scope any
		pass  bool
	}{
		{"a b", true}, {"b a c", true}, {"a", false}, {"b c", false}, {"A B", false}, {"ab", false}, {"", false}, {nil, false},
	} {
		got := rawTo(t, f.Listener.Addr().String(),
			"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+issuer.Sign(verifytest.Claims{"scope": c.scope})+"\r\n\r\n")
		if c.pass {
			got.seen(t)
			continue
		}
		got.refused(t, http.StatusForbidden, verify.InsufficientScope)
		if challenge := got.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `scope="a b c d"`) {
			t.Errorf("scope %q: challenge %q", c.scope, challenge)
		}
	}
	either := newFront(t, issuer, &verify.Guard{AnyScope: verify.Scope{"x", "read"}})
	either.raw(t, get+"Authorization: Bearer TOKEN\n\n").seen(t)
	neither := newFront(t, issuer, &verify.Guard{Scope: verify.Scope{"read"}, AnyScope: verify.Scope{"x", "y"}})
	neither.raw(t, get+"Authorization: Bearer TOKEN\n\n").refused(t, http.StatusForbidden, verify.InsufficientScope)
}

// away is a key set that is unavailable.
type away struct{}

func (away) Key(context.Context, string, string) (crypto.PublicKey, error) {
	return nil, verify.ErrUnavailable
}

// Without keys it is unknown whether the token is good: 503 and Retry-After, no challenge.
func TestGuardWithoutKeys(t *testing.T) {
	issuer := newIssuer()
	trust := issuer.Trust()
	trust.Keys = away{}
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trust}, Now: issuer.Now})
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(t, issuer, &verify.Guard{Verifier: verifier})
	got := f.raw(t, get+"Authorization: Bearer TOKEN\n\n")
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" ||
		got.Header.Get("WWW-Authenticate") != "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
}

// Retry-After is whole seconds (RFC 9110 §10.2.3), never a moment too early.
func TestGuardRetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		h := http.Header{}
		status := new(verify.Guard).WriteRefusal(h, &verify.Error{Status: 503, RetryAfter: wait})
		if status != 503 || h.Get("Retry-After") != want {
			t.Errorf("%v: %d %q, want %q", wait, status, h.Get("Retry-After"), want)
		}
	}
}

// RFC 9110 §5.6.4: realm and scope stay in their quoted-strings.
func TestGuardChallengeIsEscaped(t *testing.T) {
	f := newFront(t, newIssuer(), &verify.Guard{Realm: `a", error="x\`})
	if got, want := f.raw(t, get+"\n").Header.Get("WWW-Authenticate"), `Bearer realm="a\", error=\"x\\"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Only a preflight by the Fetch standard passes without a token.
func TestGuardPreflight(t *testing.T) {
	const preflight = "Origin: https://app.example\nAccess-Control-Request-Method: DELETE\n"
	issuer := newIssuer()
	on := newFront(t, issuer, &verify.Guard{Preflight: true, InsecureQueryToken: true, KeepAuthorization: true,
		Headers: []verify.HeaderClaim{{Header: "X-User-Id", Claim: verify.ClaimPath{"sub"}}}})
	off := newFront(t, issuer, &verify.Guard{})
	for _, c := range []struct {
		name, request string
		f             front
		pass          bool
	}{
		{"preflight", "OPTIONS / HTTP/1.1\nHost: x\n" + preflight + "\n", on, true},
		{"a token is ignored, whatever it is", "OPTIONS / HTTP/1.1\nHost: x\nAuthorization: Bearer junk\n" + preflight + "\n", on, true},
		{"a good token is ignored too", "OPTIONS /?access_token=TOKEN&a=b HTTP/1.1\nHost: x\nAuthorization: Bearer TOKEN\nX-User-Id: bob\n" + preflight + "\n", on, true},
		{"a token behind a semicolon", "OPTIONS /?a=b;access_token=TOKEN HTTP/1.1\nHost: x\n" + preflight + "\n", on, true},
		{"a body goes on", "OPTIONS / HTTP/1.1\nHost: x\nContent-Length: 2\n" + preflight + "\nhi", on, true},
		{"no Origin", "OPTIONS / HTTP/1.1\nHost: x\nAccess-Control-Request-Method: GET\n\n", on, false},
		{"no Access-Control-Request-Method", "OPTIONS / HTTP/1.1\nHost: x\nOrigin: https://app.example\n\n", on, false},
		{"another method", "GET / HTTP/1.1\nHost: x\n" + preflight + "\n", on, false},
		{"another protocol", "OPTIONS / HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n" + preflight + "\n", on, false},
		{"switched off", "OPTIONS / HTTP/1.1\nHost: x\n" + preflight + "\n", off, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.f.raw(t, strings.Replace(c.request, "Origin", "X-HTTP-Method_Override: DELETE\nOrigin", 1))
			if !c.pass {
				got.refused(t, http.StatusUnauthorized, "")
				return
			}
			s := got.seen(t)
			if strings.Contains(fmt.Sprint(s), "eyJ") {
				t.Errorf("the token went on: %+v", s)
			}
			for _, name := range []string{"Authorization", "X-User-Id", "X-Http-Method_override"} {
				if s.Header[name] != nil {
					t.Errorf("%s went on: %q", name, s.Header[name])
				}
			}
		})
	}
}

// A missing token passes without identity, a bad one never.
func TestGuardOptional(t *testing.T) {
	issuer := newIssuer()
	f := newFront(t, issuer, &verify.Guard{Optional: true, Scope: verify.Scope{"read"},
		Headers: []verify.HeaderClaim{{Header: "X-User-Id", Claim: verify.ClaimPath{"sub"}}}})
	for _, c := range []struct {
		name, lines string
		status      int
		code, user  string
	}{
		{"no token", "", 200, "", ""},
		{"another scheme", "Authorization: Basic YTpi\n", 200, "", ""},
		{"a good token", "Authorization: Bearer TOKEN\n", 200, "", "alice"},
		{"a bad token", "Authorization: Bearer junk\n", 401, verify.InvalidToken, ""},
		{"no token after the scheme", "Authorization: Bearer\n", 400, verify.InvalidRequest, ""},
		{"two headers", "Authorization: Basic YTpi\nAuthorization: Basic YTpi\n", 400, verify.InvalidRequest, ""},
		{"too little scope", "Authorization: Bearer " + issuer.Sign(verifytest.Claims{"scope": "write"}) + "\n", 403, verify.InsufficientScope, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := f.raw(t, get+"X-User-Id: admin\n"+c.lines+"\n")
			if c.status != 200 {
				got.refused(t, c.status, c.code)
				return
			}
			s := got.seen(t)
			if s.Header.Get("X-User-Id") != c.user || s.Header["Authorization"] != nil {
				t.Errorf("upstream got %v", s.Header)
			}
		})
	}
}

// A verified token, and no other, is in the context of the next handler.
func TestGuardFromContext(t *testing.T) {
	issuer := newIssuer()
	g := &verify.Guard{Verifier: issuer.Verifier(), Optional: true}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := verify.FromContext(r.Context())
		if !ok {
			token = &verify.Token{Subject: "nobody"}
		}
		_ = json.NewEncoder(w).Encode(token.Subject)
	})
	for authorization, want := range map[string]string{"": "nobody", "Bearer " + issuer.Sign(nil): "alice"} {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", authorization)
		g.Handler(next).ServeHTTP(w, r)
		if got := strings.TrimSpace(w.Body.String()); got != `"`+want+`"` {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
