package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// Health says which issuers' keys a route beside this server's could not fetch, and goes on to
// answer 200: what is bound to this server works. Routes of other issuers alone are none of its
// business.
func TestHealthOfKeySetsOfRoutes(t *testing.T) {
	var keys http.HandlerFunc
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { keys(w, r) }))
	t.Cleanup(idp.Close)
	away := httptest.NewServer(nil)
	away.Close()
	here, gone, other := verifytest.New(idp.URL, "orders"), verifytest.New(away.URL, "orders"), verifytest.New(away.URL+"/other", "orders")
	keys = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(here.JWKS()) }
	issuer := func(i *verifytest.Issuer, url string) string {
		return "issuer " + i.Name + " {\njwks_uri " + url + "/keys\n}\n"
	}

	c := newCaddy(t)
	c.mustLoad(runServer("memory", "health"), "%SITE% {\noauth_token\nhandle /both {\noauth_verify {\nserver default\naudience orders\n"+
		issuer(here, idp.URL)+issuer(gone, away.URL)+"}\nrespond hi\n}\nhandle /other {\noauth_verify {\naudience orders\n"+
		issuer(other, away.URL)+"}\nrespond hi\n}\n}\n")
	health := func() (status string, states []string) {
		t.Helper()
		answer := c.get(c.site+"/oauth/health", "")
		var said struct {
			Status  string `json:"status"`
			KeySets []struct {
				Status, Issuer, State string
			} `json:"key_sets"`
		}
		if err := json.Unmarshal([]byte(answer.body), &said); err != nil || answer.status != http.StatusOK {
			t.Fatalf("%d, %s, %v", answer.status, answer.body, err)
		}
		for _, set := range said.KeySets {
			states = append(states, strings.Join([]string{set.Issuer, set.State, set.Status}, " "))
		}
		slices.Sort(states)
		return said.Status, states
	}
	if got := c.get(c.site+"/both", here.Sign(nil)); got.status != http.StatusOK {
		t.Errorf("a token of the issuer that is there: %d", got.status)
	}
	if status, states := health(); status != "ok" || !slices.Contains(states, here.Name+" fresh ok") {
		t.Errorf("before anybody asks for the keys that are away: %s, %q", status, states)
	}
	for path, token := range map[string]string{"/both": gone.Sign(nil), "/other": other.Sign(nil)} {
		if got := c.get(c.site+path, token); got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: a token of an issuer that is away: %d", path, got.status)
		}
	}
	want := []string{here.Name + " fresh ok", gone.Name + " unavailable degraded"}
	slices.Sort(want)
	if status, states := health(); status != "degraded" || !slices.Equal(states, want) {
		t.Errorf("then: %s, %q, want %q", status, states, want)
	}
	if got := c.get(c.site+"/both", c.token(marker)); got.status != http.StatusOK {
		t.Errorf("a token of this server: %d", got.status)
	}
}
