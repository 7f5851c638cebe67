package oauthissuer_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthissuer"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// While the keys of an issuer cannot be fetched any more, a route goes on with those it has, and
// the health of its server says that they are stale; after a day, that there are none.
func TestHealthOfStaleKeySetsOfRoutes(t *testing.T) {
	clock := verifytest.NewClock(time.Now())
	oauthissuer.SetClock(t, clock.Now)
	var issuer *verifytest.Issuer
	var away atomic.Bool
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(issuer.JWKS())
	}))
	t.Cleanup(idp.Close)
	issuer = verifytest.New(idp.URL, "orders")
	site := run(t, issuer.Name)
	for _, step := range []struct {
		what          string
		later         time.Duration
		away          bool
		status        int
		whole, state  string
		ageAtLeastSec int
	}{
		{"at first", 0, false, http.StatusOK, "ok", "fresh", 0},
		{"they cannot be fetched an hour later", time.Hour, true, http.StatusOK, "degraded", "stale", 3600},
		{"nor for a day", 24 * time.Hour, true, http.StatusServiceUnavailable, "degraded", "unavailable", 25 * 3600},
		{"they are back", time.Minute, false, http.StatusOK, "ok", "fresh", 0},
	} {
		clock.Advance(step.later)
		away.Store(step.away)
		if status, body := get(t, site+"/orders", issuer.Sign(nil)); status != step.status {
			t.Errorf("%s: a token: %d %s, want %d", step.what, status, body, step.status)
		}
		status, body := get(t, site+"/oauth/health", "")
		var said struct {
			Status  string
			KeySets []struct {
				Status, Issuer, State string
				Age                   int `json:"age_seconds"`
			} `json:"key_sets"`
		}
		if err := json.Unmarshal([]byte(body), &said); err != nil || status != http.StatusOK || len(said.KeySets) != 1 {
			t.Fatalf("%s: %d %s %v", step.what, status, body, err)
		}
		set := said.KeySets[0]
		if said.Status != step.whole || set.Status != step.whole || set.State != step.state || set.Issuer != issuer.Name || set.Age < step.ageAtLeastSec {
			t.Errorf("%s: %s, want %s and %s", step.what, body, step.whole, step.state)
		}
	}
}

// run starts a Caddy with a route for the tokens of its server and of an issuer elsewhere.
func run(t *testing.T, issuer string) (site string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	site = "http://" + address
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(fmt.Appendf(nil, `{
	admin off
	persist_config off
	default_bind 127.0.0.1
	storage file_system %s
	oauth_server {
		issuer %s
		store memory
		health
	}
}
%[2]s {
	oauth_token
	handle /orders {
		oauth_verify {
			server default
			audience orders
			issuer %[3]s {
				jwks_uri %[3]s/keys
			}
		}
		respond "hi"
	}
}`, t.TempDir(), site, issuer), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	return site
}

// get makes a request, with a bearer token if there is one.
func get(t *testing.T, url, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
