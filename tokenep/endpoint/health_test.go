package endpoint_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const healthPath = "/oauth/health"

func withHealth(c *server.Config) { c.Health = true }

// wantHealth asks how a server is, and compares the status of the whole and of one part; empty: of
// none. It returns that part.
func wantHealth(t *testing.T, f *tokeneptest.Server, status int, whole, name, of string) map[string]any {
	t.Helper()
	a := f.Send(t, get(healthPath))
	a.NotStored(t)
	if a.Status != status || a.JSON["status"] != whole {
		t.Fatalf("%d %s, want %d %s", a.Status, a.Body, status, whole)
	}
	part, _ := a.JSON[name].(map[string]any)
	if list, ok := a.JSON[name].([]any); ok {
		part = list[0].(map[string]any)
	}
	if name != "" && part["status"] != of {
		t.Errorf("%s: %v, want %s; in %s", name, part, of, a.Body)
	}
	return part
}

// later lets time pass in which the revocations are followed.
func later(t *testing.T, f *tokeneptest.Server, d time.Duration) {
	t.Helper()
	f.Clock.Advance(d)
	if err := f.Revocations.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// RFC 9110 §15.6.4: 503 is for a server that can serve nothing.
func TestHealth(t *testing.T) {
	f := tokeneptest.New(t, withHealth)
	later(t, f, time.Hour)
	if k := wantHealth(t, f, 200, "ok", "keys", "ok"); k["signs"] != "access_token" || k["alg"] != "ES256" || k["age_seconds"] != 3600. ||
		k["next_age_seconds"] != 3600. {
		t.Errorf("keys: %v", k)
	}
	if r := f.Send(t, tokeneptest.Request{Method: http.MethodHead, Path: healthPath, Header: http.Header{}}); r.Status != 200 || len(r.Body) > 0 {
		t.Errorf("HEAD: %d %s", r.Status, r.Body)
	}
	f.Send(t, post().At(healthPath)).Refused(t, 405, "invalid_request")
	if a := f.Send(t, get("/.well-known/oauth-authorization-server")); strings.Contains(string(a.Body), "health") {
		t.Errorf("the metadata: %s", a.Body)
	}
	off := tokeneptest.New(t)
	off.Send(t, get(healthPath)).Refused(t, 404, "invalid_request")
}

// A server without keys can neither issue nor verify.
func TestHealthWithoutKeys(t *testing.T) {
	c := tokeneptest.Config(memory.New(memory.Options{}), time.Now)
	withHealth(&c)
	wantHealth(t, tokeneptest.NewUnstarted(t, c), 503, "failing", "keys", "failing")
}

// A rotation that is due for a while could not be stored.
func TestHealthOfKeysThatAreNotRotated(t *testing.T) {
	f := tokeneptest.New(t, withHealth)
	later(t, f, 30*24*time.Hour+9*time.Minute)
	wantHealth(t, f, 200, "ok", "keys", "ok")
	later(t, f, 2*time.Minute)
	wantHealth(t, f, 200, "degraded", "keys", "degraded")
	if err := f.Keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHealth(t, f, 200, "ok", "keys", "ok")
}

// While the store is away tokens are issued to configured clients, and verified.
func TestHealthWithoutTheStore(t *testing.T) {
	f := tokeneptest.New(t, withHealth)
	wantHealth(t, f, 200, "ok", "store", "ok")
	f.Store.SetAway(true)
	wantHealth(t, f, 200, "ok", "store", "ok") // a second has not passed
	f.Clock.Advance(time.Second)
	wantHealth(t, f, 200, "degraded", "store", "degraded")
	f.Granted(t, plain.By("billing"))
	f.Store.SetAway(false)
	f.Clock.Advance(time.Second)
	wantHealth(t, f, 200, "ok", "store", "ok")
	read := f.Store.Reads()
	for range 100 {
		wantHealth(t, f, 200, "ok", "", "")
	}
	if n := f.Store.Reads() - read; n > 0 {
		t.Errorf("a hundred probes within a second: %d reads", n)
	}
}

// Revocations that are too old make verifiers refuse everything, where there is a bound.
func TestHealthOfRevocations(t *testing.T) {
	bounded := tokeneptest.New(t, withHealth, func(c *server.Config) { c.RevocationMaxAge = time.Minute })
	for _, f := range []*tokeneptest.Server{bounded, tokeneptest.New(t, withHealth)} {
		f.Store.SetAway(true)
		token := f.Mint(t, tokenep.Claims{})
		f.Clock.Advance(30 * time.Second)
		if r := wantHealth(t, f, 200, "degraded", "revocations", "degraded"); r["age_seconds"].(float64) < 29 {
			t.Errorf("revocations: %v", r)
		}
		f.Clock.Advance(time.Minute)
		status, whole := 200, "degraded"
		if f == bounded {
			status, whole = 503, "failing"
		}
		wantHealth(t, f, status, whole, "revocations", whole)
		if _, err := f.Verify(t, token); (err != nil) != (f == bounded) {
			t.Errorf("a token: %v", err)
		}
		f.Store.SetAway(false)
		later(t, f, time.Second)
		wantHealth(t, f, 200, "ok", "revocations", "ok")
	}
}

// The keys of another issuer may never have been needed, or never been there, or be old.
func TestHealthOfKeySets(t *testing.T) {
	other := verifytest.New("https://idp.example", tokeneptest.Issuer)
	up := true
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(other.JWKS())
	}))
	t.Cleanup(site.Close)
	everyone, err := policy.CompileValue("claims.sub")
	if err != nil {
		t.Fatal(err)
	}
	f := tokeneptest.New(t, withHealth, func(c *server.Config) {
		trusted := other.Trust()
		if trusted.Keys, err = verify.NewURLKeys(site.URL, verify.URLKeysOptions{Now: c.Now, Logger: c.Logger}); err != nil {
			t.Fatal(err)
		}
		other.Now = c.Now
		p := subject.Policy{Name: "orders", Subject: everyone, Audience: []string{tokeneptest.Orders}}
		c.Subjects = append(c.Subjects, &subject.Source{Name: trusted.Name, Issuer: &trusted, Policies: []subject.Policy{p}})
	})
	exchange := func() {
		f.Send(t, tokeneptest.Exchange(other.Sign(verifytest.Claims{}), grant.JWTType).By("billing"))
	}
	state := func(whole, of, want string) {
		t.Helper()
		if k := wantHealth(t, f, 200, whole, "key_sets", of); k["state"] != want || k["issuer"] != "https://idp.example" {
			t.Errorf("key sets: %v, want %s", k, want)
		}
	}
	state("ok", "ok", "not_fetched")
	up = false
	exchange()
	state("degraded", "degraded", "unavailable")
	up = true
	later(t, f, time.Minute)
	exchange()
	state("ok", "ok", "fresh")
	up = false
	later(t, f, time.Hour)
	exchange()
	state("degraded", "degraded", "stale")
	later(t, f, 24*time.Hour)
	state("degraded", "degraded", "unavailable")
}

// The source of users is not asked by a probe: how it answered last counts.
func TestHealthOfUsers(t *testing.T) {
	people := tokeneptest.NewPeople("alice")
	f := tokeneptest.New(t, withHealth, tokeneptest.WithPeople, people.SignIn, func(c *server.Config) { c.PasswordGrant = true })
	signIn := func(password string) {
		t.Helper()
		if _, err := f.Config.Users.Authenticate(t.Context(), "alice", password); err != nil {
			t.Log(err)
		}
	}
	if u := wantHealth(t, f, 200, "ok", "users", "ok"); u["age_seconds"] != nil {
		t.Errorf("users: %v", u)
	}
	people.Away(errors.New("connection refused"))
	signIn("alice-password")
	wantHealth(t, f, 200, "degraded", "users", "degraded")
	signIn("wrong") // it is there: it says so
	wantHealth(t, f, 200, "ok", "users", "ok")
}
