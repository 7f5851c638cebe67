package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
)

func init() { caddy.RegisterModule(heard{}) }

// events is what a handler of the events app has heard.
var events = make(chan string, 100)

// heard is such a handler, of a third party.
type heard struct{}

func (heard) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test_heard", New: func() caddy.Module { return heard{} }}
}

func (heard) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (heard) Handle(_ context.Context, e caddy.Event) error {
	if !strings.HasPrefix(e.Name(), "oauth_") { // Caddy's own
		return nil
	}
	events <- fmt.Sprint(e.Name(), " ", e.Data["server"], " ", e.Data["owner"], " ", e.Data["reason"])
	panic("a fault of the handler, which ends neither the process nor the events")
}

// wantHeard wants these events to come next, in whatever order.
func wantHeard(t *testing.T, texts ...string) {
	t.Helper()
	var got []string
	for range texts {
		select {
		case text := <-events:
			got = append(got, text)
		case <-time.After(30 * time.Second):
			t.Fatalf("heard %q, want %q", got, texts)
		}
	}
	if slices.Sort(got); !slices.Equal(got, texts) {
		t.Errorf("heard %q, want %q", got, texts)
	}
}

// What happens to API tokens reaches the handlers of Caddy's events app, and what has happened
// while no process ran does so soon after the next start.
func TestEventsApp(t *testing.T) {
	c := newCaddy(t)
	start := time.Now()
	ends := map[string]time.Time{"gone": start.Add(-10 * time.Minute), "soon": start.Add(30*24*time.Hour - time.Minute)}
	keepAPITokens(t, filepath.Join(c.dir, "state.db"), start.Add(-24*time.Hour), ends)
	c.mustLoad(runServer("bolt %DIR%/state.db", "token_exchange {\n anonymous\n api_tokens\n}")+`
	servers {
		trusted_proxies static 127.0.0.0/8
	}
	events {
		on * test_heard
	}`, site(""))
	wantHeard(t, "oauth_api_token_expired default gone ", "oauth_api_token_expiring default soon ")
	send := func(to, mediaType, body string, status int, header ...string) (answer map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", mediaType)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		a := c.send(r).want(t, to, status)
		_ = json.Unmarshal([]byte(a.body), &answer)
		return answer
	}
	tokens := "http://" + c.admin + "/oauth_server/default/api_tokens"
	create := func(document string) (id, token string) {
		t.Helper()
		made := send(tokens, "application/json", document, http.StatusCreated)
		wantHeard(t, "oauth_api_token_created default ada ")
		return made["api_token"].(map[string]any)["id"].(string), made["token"].(string)
	}
	exchange := func(token, from string, status int) {
		t.Helper()
		send(c.site+"/oauth/token", "application/x-www-form-urlencoded", url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token_type": {"urn:tokenep:params:oauth:token-type:api_token"}, "subject_token": {token},
		}.Encode(), status, "X-Forwarded-For", from)
	}
	id, token := create(`{"owner":"ada","service":"https://a.example","deny_from":["192.0.2.0/24"]}`)
	for range 3 { // once a minute
		exchange(token, "192.0.2.1", http.StatusBadRequest)
	}
	wantHeard(t, "oauth_api_token_denied default ada address")
	send(tokens+"/"+id+"/roll", "application/json", `{}`, http.StatusCreated)
	wantHeard(t, "oauth_api_token_rolled default ada ")
	send(tokens+"/"+id+"/revoke", "application/json", `{"reason":"lost"}`, http.StatusNoContent)
	wantHeard(t, "oauth_api_token_revoked default ada lost")
	_, token = create(`{"owner":"ada","service":"https://a.example","quota":"2/1d"}`)
	exchange(token, "198.51.100.1", http.StatusOK)
	exchange(token, "203.0.113.1", http.StatusOK)
	wantHeard(t, "oauth_api_token_used_from_new_address default ada ")
	exchange(token, "203.0.113.1", http.StatusTooManyRequests)
	wantHeard(t, "oauth_api_token_limited default ada quota")
}

// keepAPITokens puts API tokens into the file of a store, as if they had been made at a time: one
// for each owner, with its end.
func keepAPITokens(t *testing.T, path string, made time.Time, ends map[string]time.Time) {
	t.Helper()
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := state.APITokens{Store: s, Prefix: "api", MaxAge: 90 * 24 * time.Hour, Now: func() time.Time { return made }}
	for owner, end := range ends {
		if _, _, err := tokens.Create(t.Context(), state.APIToken{Owner: owner, Service: "https://a.example", Expires: end}); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Interface guards
var (
	_ caddyevents.Handler   = heard{}
	_ caddyfile.Unmarshaler = heard{}
)
