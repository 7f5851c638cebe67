package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// rule is a line of a table: what a request must get, and by which rule.
type rule struct {
	name    string
	request request
	status  int
	code    tokenep.Code // empty: a token
}

// hold sends the requests of a table.
func (f *fixture) hold(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if r.code == "" {
				f.granted(t, r.request)
				return
			}
			writes := f.store.writes.Load()
			refused(t, f.do(t, r.request), r.status, r.code)
			if now := f.store.writes.Load(); now != writes {
				t.Errorf("a refused request wrote %d records", now-writes)
			}
		})
	}
}

// refused holds an answer to what RFC 6749 §5.2 says of errors.
func refused(t *testing.T, a answer, status int, code tokenep.Code) {
	t.Helper()
	if a.status != status || a.json["error"] != string(code) && a.method != http.MethodHead {
		t.Fatalf("%d %s, want %d %s", a.status, a.body, status, code)
	}
	noStore(t, a)
	present := func(name string, want bool) {
		t.Helper()
		if values := a.header.Values(name); (len(values) == 1) != want || len(values) > 1 {
			t.Errorf("%s: %q with status %d; want one: %v", name, values, status, want)
		}
	}
	present("WWW-Authenticate", status == http.StatusUnauthorized && len(a.request.header["Authorization"]) > 0)
	present("Allow", status == http.StatusMethodNotAllowed)
	present("Retry-After", status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable)
	if challenge := a.header.Get("WWW-Authenticate"); challenge != "" && !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("WWW-Authenticate: %s", challenge)
	}
	for name, value := range a.json {
		text, isText := value.(string)
		if !isText || name != "error" && name != "error_description" {
			t.Errorf("the error has a member %s = %v", name, value)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
			t.Errorf("%s has characters outside RFC 6749 §5.2: %q", name, text)
		}
	}
}

// noStore holds an answer to the headers of RFC 6749 §5.1.
func noStore(t *testing.T, a answer) {
	t.Helper()
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
		if got := a.header.Values(name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
}

// granted sends a request that is good, and returns what the token says to a verifier that trusts nothing but the key set.
func (f *fixture) granted(t *testing.T, r request) (answer, *verify.Token) {
	t.Helper()
	a := f.do(t, r)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s, want a token", a.status, a.body)
	}
	noStore(t, a)
	if values := a.header.Values("WWW-Authenticate"); values != nil {
		t.Errorf("WWW-Authenticate: %q with status 200", values)
	}
	for name, value := range a.json {
		if value == nil || value == "" {
			t.Errorf("the answer has an empty member %s", name)
		}
	}
	if a.json["token_type"] != "Bearer" {
		t.Errorf("token_type is %v", a.json["token_type"])
	}
	raw, _ := a.json["access_token"].(string)
	token, err := f.verify(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	if left := token.Expires.Sub(f.clock.Now()); a.json["expires_in"] != float64(left/time.Second) {
		t.Errorf("expires_in is %v, the token is good for %s", a.json["expires_in"], left)
	}
	if strings.Contains(f.log.String(), raw) {
		t.Error("the log shows the token")
	}
	return a, token
}

// verify asks a verifier without a cache.
func (f *fixture) verify(t *testing.T, raw string) (*verify.Token, error) {
	t.Helper()
	trusted := f.Trusted()
	trusted.InsecureAnyAudience = true
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(t.Context(), verify.Presentation{Token: raw})
}
