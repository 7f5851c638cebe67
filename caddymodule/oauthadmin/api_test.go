package oauthadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
)

func init() { caddy.RegisterModule(new(givenStore)) }

// given is the store of the server that newAdmin runs.
var given store.Store

// givenStore is the module of that store.
type givenStore struct{}

func (*givenStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "oauth_server.stores.test_given", New: func() caddy.Module { return new(givenStore) }}
}

func (*givenStore) Locate(server string) (string, error)           { return server, nil }
func (*givenStore) Check(string) error                             { return nil }
func (*givenStore) Open(string, *slog.Logger) (store.Store, error) { return given, nil }
func (*givenStore) Volatile() bool                                 { return true }

// newAdmin runs one server, "default", over the store, and returns its admin API.
func newAdmin(t *testing.T, s store.Store, configured ...string) *API {
	t.Helper()
	clients := []map[string]string{}
	for _, id := range configured {
		clients = append(clients, map[string]string{"client_id": id, "token_endpoint_auth_method": "none"})
	}
	config, err := json.Marshal(map[string]any{"servers": map[string]any{"default": map[string]any{
		"issuer": "http://localhost:8080", "store": map[string]string{"module": "test_given"}, "clients": clients,
		"token_exchange": map[string]any{"api_tokens": map[string]string{"prefix": "demo"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	given = s
	quiet := &caddy.CustomLog{BaseLog: caddy.BaseLog{WriterRaw: []byte(`{"output":"discard"}`)}}
	persist := false
	if err := caddy.Run(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": quiet}},
		AppsRaw: caddy.ModuleMap{"oauth_server": config},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &API{running: runningApp}
}

// ask makes a request below the server, and returns the status that Caddy would answer with.
func (a *API) ask(method, path, body string) (status int, text string, header http.Header) {
	w := httptest.NewRecorder()
	err := a.serve(w, httptest.NewRequest(method, basePath+"default/"+path, strings.NewReader(body)))
	if err == nil {
		return w.Code, w.Body.String(), w.Header()
	}
	var refused caddy.APIError
	if !errors.As(err, &refused) {
		return http.StatusInternalServerError, err.Error(), w.Header()
	}
	return refused.HTTPStatus, refused.Error(), w.Header()
}

func TestAdminStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{store.ErrUnavailable, http.StatusServiceUnavailable},
		{fmt.Errorf("%w: %w", tokenep.InvalidClient, store.ErrUnavailable), http.StatusServiceUnavailable},
		{tokenep.InvalidClient, http.StatusNotFound},
		{store.ErrNotFound, http.StatusNotFound},
		{store.ErrExists, http.StatusConflict},
		{store.ErrConflict, http.StatusServiceUnavailable},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{state.ErrTooMany, http.StatusConflict},
		{state.ErrRolledOften, http.StatusConflict},
		{state.ErrExpiredAPIToken, http.StatusConflict},
		{keys.ErrTooEarly, http.StatusConflict},
		{keys.ErrFull, http.StatusConflict},
		{keys.ErrUnknown, http.StatusNotFound},
		{state.ErrInvalid, http.StatusBadRequest},
		{store.ErrInvalid, http.StatusBadRequest},
		{refuse(http.StatusMethodNotAllowed, "no"), http.StatusMethodNotAllowed},
		{errors.New("a disk is on fire"), http.StatusInternalServerError},
	} {
		w := httptest.NewRecorder()
		var got caddy.APIError
		if !errors.As(asAPIError(w, fmt.Errorf("doing it: %w", c.err)), &got) || got.HTTPStatus != c.want {
			t.Errorf("%v: status %d, want %d", c.err, got.HTTPStatus, c.want)
		}
		if later := w.Header().Get("Retry-After") != ""; later != (c.want == http.StatusServiceUnavailable) {
			t.Errorf("%v: Retry-After is there: %v", c.err, later)
		}
	}
}

// away is a store that cannot be reached as soon as gone is set.
type away struct {
	store.Store
	gone atomic.Bool
}

func (a *away) Insert(ctx context.Context, r store.Record) error {
	if a.gone.Load() {
		return store.ErrUnavailable
	}
	return a.Store.Insert(ctx, r)
}

func (a *away) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if a.gone.Load() {
		return store.Record{}, store.ErrUnavailable
	}
	return a.Store.Load(ctx, kind, id)
}

func (a *away) Swap(ctx context.Context, old, next store.Record) error {
	if a.gone.Load() {
		return store.ErrUnavailable
	}
	return a.Store.Swap(ctx, old, next)
}

func (a *away) Delete(ctx context.Context, kind, id string) error {
	if a.gone.Load() {
		return store.ErrUnavailable
	}
	return a.Store.Delete(ctx, kind, id)
}

func (a *away) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if a.gone.Load() {
		return nil, store.ErrUnavailable
	}
	return a.Store.List(ctx, kind, prefix, after, limit)
}

// While the store is away, every answer is 503.
func TestAdminStoreAway(t *testing.T) {
	engine := &away{Store: memory.New(memory.Options{})}
	a := newAdmin(t, engine)
	engine.gone.Store(true)
	for _, c := range [][3]string{
		{"GET", "clients"},
		{"POST", "clients", `{"client_id":"a","grant_types":["client_credentials"]}`},
		{"DELETE", "clients/a"},
		{"GET", "api_tokens"},
		{"GET", "api_tokens?owner=alice"},
		{"POST", "api_tokens", `{"owner":"alice","service":"orders"}`},
		{"DELETE", "api_tokens/AAAAAAAAAAAA"},
		{"POST", "api_tokens/AAAAAAAAAAAA/revoke"},
		{"POST", "api_tokens/AAAAAAAAAAAA/roll"},
		{"POST", "keys/rotate?force=true"},
		{"POST", "keys/a/withdraw"},
		{"DELETE", "keys/a"},
		{"POST", "revocations", `{"jti":"a"}`},
		{"POST", "revocations", `{"sub":"a"}`},
		{"GET", "users"},
		{"GET", "users/ada"},
		{"POST", "users/ada/disable"},
		{"POST", "users/ada/enable"},
		{"POST", "users/ada/revoke"},
		{"GET", "users/ada/sessions"},
		{"POST", "users/ada/sessions/end", `{"id":"a"}`},
		{"POST", "users/ada/sessions/end", `{"all":true}`},
	} {
		status, text, header := a.ask(c[0], c[1], c[2])
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s, Retry-After %q", c[0], c[1], status, text, header.Get("Retry-After"))
		}
	}
}

func TestAdminRefusals(t *testing.T) {
	const apiToken = "demo_0123456789AB_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq0Fs1GL"
	refreshToken := "rt_" + strings.Repeat("A", 120)
	a := newAdmin(t, memory.New(memory.Options{}), "billing")
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		text                     string
	}{
		{"unknown resource", "GET", "nothing", "", 404, "there is no resource"},
		{"resource of a resource", "GET", "clients/a/b", "", 404, "there is no resource"},
		{"method", "PATCH", "clients", "", 405, "PATCH"},
		{"no body", "POST", "clients", "", 400, "JSON"},
		{"array", "POST", "clients", "[]", 400, "JSON"},
		{"two objects", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"]}{}`, 400, "something follows"},
		{"too long", "POST", "clients", `{"client_id":"` + strings.Repeat("a", maxBody) + `"}`, 400, "too large"},
		{"unknown member", "POST", "clients", `{"secret":"hunter2"}`, 400, `unknown field "secret"`},
		{"client without id", "POST", "clients", `{"grant_types":["client_credentials"]}`, 400, "client_id:"},
		{"long id", "POST", "clients", `{"client_id":"` + strings.Repeat("a", 129) + `","grant_types":["client_credentials"]}`, 400, "id"},
		{"grant", "POST", "clients", `{"client_id":"a","grant_types":["implicit"]}`, 400, "unknown grant"},
		{"public, and for itself", "POST", "clients", `{"client_id":"a","token_endpoint_auth_method":"none","grant_types":["client_credentials"]}`, 400, "needs a secret"},
		{"scope", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"scope":"\""}`, 400, "scope"},
		{"default scope", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"default_scope":"a"}`, 400, "default_scope"},
		{"audience", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"audience":[""]}`, 400, "audience:"},
		{"audience with a space", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"audience":["a b"]}`, 400, `write "audience": ["a", "b"]`},
		{"clients with a comma", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"exchange_from":["b,c"]}`, 400, `write "exchange_from": ["b", "c"]`},
		{"grants with a comma", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials,token_exchange"]}`, 400, `write "grant_types": ["client_credentials", "token_exchange"]`},
		{"service with a space", "POST", "api_tokens", `{"owner":"ada","service":"a b"}`, 400, "service:"},
		{"ttl", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"access_token_ttl":"2h"}`, 400, "access_token_ttl:"},
		{"auth method", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"token_endpoint_auth_method":"private_key_jwt"}`, 400, "auth_method"},
		{"created", "POST", "clients", `{"client_id":"a","grant_types":["client_credentials"],"configured":true}`, 400, "configured"},
		{"configured", "POST", "clients", `{"client_id":"billing","grant_types":["client_credentials"]}`, 409, "configuration"},
		{"remove configured", "DELETE", "clients/billing", "", 409, "configuration"},
		{"remove unknown", "DELETE", "clients/nobody", "", 404, "nobody"},
		{"limit", "GET", "clients?limit=1001", "", 400, "limit:"},
		{"limit is a word", "GET", "api_tokens?limit=all", "", 400, "limit:"},
		{"owner", "POST", "api_tokens", `{"service":"orders"}`, 400, "owner:"},
		{"service", "POST", "api_tokens", `{"owner":"alice"}`, 400, "service:"},
		{"negative life", "POST", "api_tokens", `{"owner":"alice","service":"orders","expires_in":"-1h"}`, 400, "expires_in:"},
		{"two expiries", "POST", "api_tokens", `{"owner":"alice","service":"orders","expires_in":"1h","expires":"2030-01-01T00:00:00Z"}`, 400, "must not both"},
		{"past", "POST", "api_tokens", `{"owner":"alice","service":"orders","expires":"2001-01-01T00:00:00Z"}`, 400, "expired"},
		{"unknown token", "POST", "api_tokens/AAAAAAAAAAAA/roll", "", 404, "AAAAAAAAAAAA"},
		{"no token id", "DELETE", "api_tokens/short", "", 404, "short"},
		{"force", "POST", "keys/rotate?force=maybe", "", 400, "force:"},
		{"nothing to revoke", "POST", "revocations", `{}`, 400, "exactly one"},
		{"two to revoke", "POST", "revocations", `{"jti":"a","sub":"b"}`, 400, "exactly one"},
		{"no access token", "POST", "revocations", `{"token":"a"}`, 400, "not an access token of this server"},
		{"a token, and whose", "POST", "revocations", `{"token":"a","sub":"b"}`, 400, "exactly one"},
		{"an access token as an id", "POST", "revocations", `{"jti":"eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}`, 400, `jti: this is a token and not the name of one; give it as "token"`},
		{"behind its scheme", "POST", "revocations", `{"sub":"Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}`, 400, "sub: this is a token"},
		{"an API token as a client", "POST", "revocations", `{"client_id":"` + apiToken + `"}`, 400, "client_id: this is an API token; revoke it by its id"},
		{"an API token as a grant", "POST", "revocations", `{"grant_id":"` + apiToken + `"}`, 400, "grant_id: this is an API token; revoke it by its id"},
		{"a refresh token as a grant", "POST", "revocations", `{"grant_id":"` + refreshToken + `"}`, 400, "grant_id: this is a refresh token"},
		{"a refresh token", "POST", "revocations", `{"token":"` + refreshToken + `"}`, 400, "token: this is a refresh token"},
		{"a user and a space", "POST", "revocations", `{"sub":"ada "}`, 400, "sub: white space"},
		{"a space", "POST", "revocations", `{"jti":" "}`, 400, "jti: white space"},
		{"a user and a line", "POST", "revocations", `{"sub":"ada\nbob"}`, 400, "control character"},
		{"nobody", "POST", "users//disable", "", 400, "user: it must not be empty"},
		{"a token as a user", "POST", "users/eyJhbGciOiJFUzI1NiJ9.e30.c2ln/disable", "", 400, "user: this is a token"},
		{"an API token as a user", "GET", "users/" + apiToken, "", 400, "user: this is an API token"},
		{"a user and a line", "POST", "users/ada%0Abob/revoke", "", 400, "control character"},
		{"a user and a direction", "POST", "users/ada%E2%80%AEbob/enable", "", 400, "control character"},
		{"a long user", "GET", "users/" + strings.Repeat("a", 2000) + "/sessions", "", 400, "at most"},
		{"no session", "POST", "users/ada/sessions/end", `{}`, 400, "exactly one"},
		{"one session and all", "POST", "users/ada/sessions/end", `{"id":"a","all":true}`, 400, "exactly one"},
		{"an unknown session", "POST", "users/ada/sessions/end", `{"id":"a"}`, 404, "no session"},
		{"a method of users", "DELETE", "users/ada", "", 405, "DELETE"},
		{"no client", "GET", "clients/nobody", "", 404, "nobody"},
		{"no token", "POST", "inspect", `{}`, 400, "token:"},
		{"empty audience", "POST", "inspect", `{"token":"a","audience":[""]}`, 400, "audience:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text, header := a.ask(c.method, c.path, c.body)
			if status != c.status || !strings.Contains(text, c.text) {
				t.Errorf("%d %s, want %d and %q", status, text, c.status, c.text)
			}
			if strings.Contains(text, apiToken) || strings.Contains(text, refreshToken) || strings.Contains(text, "eyJ") {
				t.Errorf("the secret is shown: %s", text)
			}
			if header.Get("Cache-Control") != "no-store" {
				t.Error("Cache-Control is not no-store")
			}
		})
	}
}

// Pages have every client exactly once and in order, wherever a page ends. The clients of the
// configuration are between those of the store.
func TestAdminClientPages(t *testing.T) {
	a := newAdmin(t, memory.New(memory.Options{}), "a", "c", "d", "i", "j")
	for _, id := range []string{"b", "e", "f", "g", "h"} {
		if status, text, _ := a.ask("POST", "clients", `{"client_id":"`+id+`","grant_types":["client_credentials"]}`); status != http.StatusCreated {
			t.Fatal(status, text)
		}
	}
	want := strings.Split("abcdefghij", "")
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		for after, more := "", true; more; {
			var page clientPage
			_, text, _ := a.ask("GET", fmt.Sprintf("clients?limit=%d&after=%s", limit, after), "")
			if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Clients) > limit {
				t.Fatal(text, err)
			}
			for _, c := range page.Clients {
				got = append(got, c.ID)
			}
			after, more = page.Next, page.Next != ""
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
}

// An id is one segment of the path, whatever it contains.
func TestAdminPathSegments(t *testing.T) {
	a := newAdmin(t, memory.New(memory.Options{}))
	for _, id := range []string{"plain", "a b", "a/b", "50%", "a?b#c", "clients"} {
		body, _ := json.Marshal(tokenep.Client{ID: id, GrantTypes: []string{"client_credentials"}})
		if status, text, _ := a.ask("POST", "clients", string(body)); status != http.StatusCreated {
			t.Fatal(status, text)
		}
		escaped := strings.NewReplacer("%", "%25", " ", "%20", "/", "%2F", "?", "%3F", "#", "%23").Replace(id)
		if status, text, _ := a.ask("DELETE", "clients/"+escaped, ""); status != http.StatusNoContent {
			t.Errorf("%q: %d %s", id, status, text)
		}
	}
}
