package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
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
	events <- fmt.Sprint(e.Name(), " ", e.Data["server"], " ", e.Data["owner"], " ", e.Data["reason"])
	return nil
}

// What happens to API tokens reaches the handlers of Caddy's events app.
func TestEventsApp(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad(runServer("memory", "token_exchange {\n anonymous\n api_tokens\n}")+`
	events {
		on oauth_api_token_created test_heard
		on oauth_api_token_denied test_heard
		on oauth_api_token_revoked test_heard
	}`, site(""))
	want := func(text string) {
		t.Helper()
		select {
		case got := <-events:
			if got != text {
				t.Errorf("heard %q, want %q", got, text)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("never heard of %q", text)
		}
	}
	send := func(to, mediaType, body string, status int) (answer map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", mediaType)
		a := c.send(r).want(t, to, status)
		_ = json.Unmarshal([]byte(a.body), &answer)
		return answer
	}
	tokens := "http://" + c.admin + "/oauth_server/default/api_tokens"
	made := send(tokens, "application/json", `{"owner":"ada","service":"https://a.example","deny_from":["127.0.0.0/8"]}`, http.StatusCreated)
	want("oauth_api_token_created default ada ")
	for range 3 { // once a minute
		send(c.site+"/oauth/token", "application/x-www-form-urlencoded", url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token_type": {"urn:tokenep:params:oauth:token-type:api_token"}, "subject_token": {made["token"].(string)},
		}.Encode(), http.StatusBadRequest)
	}
	want("oauth_api_token_denied default ada address")
	id := made["api_token"].(map[string]any)["id"].(string)
	send(tokens+"/"+id+"/revoke", "application/json", `{"reason":"lost"}`, http.StatusNoContent)
	want("oauth_api_token_revoked default ada lost")
}

// Interface guards
var (
	_ caddyevents.Handler   = heard{}
	_ caddyfile.Unmarshaler = heard{}
)
