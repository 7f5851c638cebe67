package endpoint_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

const apiTokensPath = "/oauth/api-tokens"

// withAPI lets the client site manage API tokens.
func withAPI(c *server.Config) {
	for i := range c.Clients {
		if c.Clients[i].ID == "site" {
			c.Clients[i].Scope = append(c.Clients[i].Scope, "api_tokens")
			c.Clients[i].Audience = append(c.Clients[i].Audience, tokeneptest.Issuer)
		}
	}
}

// program returns a function that sends a request with an access token of ann, who has just signed
// in, with this scope.
func program(t *testing.T, s *tokeneptest.Server, scope, resource string) func(method, path, body string) tokeneptest.Answer {
	t.Helper()
	b := s.Browser()
	b.Open(t, path("site", "scope", scope, "resource", resource))
	b.SignIn(t, "ann")
	token := s.Send(t, tokeneptest.RedeemCode("site", b.Submit(t, "allow").Redirected(t, tokeneptest.Callback).Get("code"))).AccessToken()
	return bearer(t, s, token)
}

func bearer(t *testing.T, s *tokeneptest.Server, token string) func(method, path, body string) tokeneptest.Answer {
	return func(method, path, body string) tokeneptest.Answer {
		t.Helper()
		r := tokeneptest.Request{Method: method, Path: path, Body: body, Header: http.Header{"Authorization": {"Bearer " + token}}}
		if body != "" {
			r = r.With("Content-Type", "application/json")
		}
		return s.Send(t, r)
	}
}

// A program does what the page does.
func TestAPITokensAPI(t *testing.T) {
	s, _ := newSite(t, withServices, withAPI)
	_, of := s.NewAPIToken(t, state.APIToken{Owner: "bob"})
	send := program(t, s, "api_tokens", tokeneptest.Issuer)
	made := send(http.MethodPost, apiTokensPath, `{"name":"ci","service":"`+tokeneptest.Orders+`","scope":"read","rate":"10/1m","allow_from":["127.0.0.0/8"]}`)
	text, _ := made.JSON["token"].(string)
	if made.Status != http.StatusCreated || text == "" {
		t.Fatalf("%d %s", made.Status, made.Body)
	}
	made.NotStored(t)
	id := strings.Split(text, "_")[1]
	one := apiTokensPath + "/" + id
	if a := send(http.MethodGet, apiTokensPath, ""); a.Status != http.StatusOK || len(a.JSON["api_tokens"].([]any)) != 1 {
		t.Errorf("the list: %d %s", a.Status, a.Body)
	}
	if a := send(http.MethodGet, one, ""); a.Status != http.StatusOK || a.JSON["name"] != "ci" || a.JSON["created_by"] != "site" || a.JSON["owner"] != "ann" {
		t.Errorf("one: %d %s", a.Status, a.Body)
	}
	rolled := send(http.MethodPost, one, `{"overlap":"1h"}`)
	if next, _ := rolled.JSON["token"].(string); rolled.Status != http.StatusCreated || next == text || !strings.Contains(next, id) {
		t.Errorf("rolled: %d %s", rolled.Status, rolled.Body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if a := send(method, apiTokensPath+"/"+of.ID, `{}`); a.Status != http.StatusNotFound {
			t.Errorf("%s of another: %d %s", method, a.Status, a.Body)
		}
	}
	if a := send(http.MethodDelete, one, ""); a.Status != http.StatusNoContent {
		t.Errorf("revoked: %d %s", a.Status, a.Body)
	}
	if a := send(http.MethodDelete, one, ""); a.Status != http.StatusNotFound {
		t.Errorf("revoked twice: %d %s", a.Status, a.Body)
	}
	if a := s.Send(t, tokeneptest.ExchangeAPIToken(text)); a.Status != http.StatusBadRequest {
		t.Errorf("exchanged: %d %s", a.Status, a.Body)
	}
}

// RFC 6750 §3.1, RFC 9470 §3: who may use it.
func TestAPITokensAPIRefused(t *testing.T) {
	s, _ := newSite(t, withServices, withAPI, func(c *server.Config) {
		c.Exchange.APITokens.Services = append(c.Exchange.APITokens.Services, server.APITokenService{Audience: tokeneptest.Issuer, Scope: []string{"api_tokens"}})
		relay := tokeneptest.NewClient("relay", grant.TokenExchangeType)
		relay.Scope, relay.Audience = []string{"api_tokens"}, []string{tokeneptest.Issuer}
		c.Clients = append(c.Clients, relay)
	})
	good := program(t, s, "api_tokens", tokeneptest.Issuer)
	want := `{"name":"ci","service":"` + tokeneptest.Orders + `"}`
	t.Run("another scope", func(t *testing.T) {
		if a := program(t, s, "read", tokeneptest.Issuer)(http.MethodGet, apiTokensPath, ""); a.Status != http.StatusForbidden {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("another audience", func(t *testing.T) {
		a := program(t, s, "api_tokens", tokeneptest.Orders)(http.MethodGet, apiTokensPath, "")
		if a.Status != http.StatusUnauthorized || a.JSON["error_description"] != "the token is for another audience" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("no token", func(t *testing.T) {
		a := s.Send(t, tokeneptest.Get(apiTokensPath))
		if a.Status != http.StatusUnauthorized || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("of an API token", func(t *testing.T) {
		text, _ := s.NewAPIToken(t, state.APIToken{Owner: "ann", Service: tokeneptest.Issuer, Scope: []string{"api_tokens"}})
		access := s.Send(t, tokeneptest.ExchangeAPIToken(text)).AccessToken()
		if a := bearer(t, s, access)(http.MethodGet, apiTokensPath, ""); a.Status != http.StatusForbidden {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	t.Run("of an API token, through a client", func(t *testing.T) {
		text, _ := s.NewAPIToken(t, state.APIToken{Owner: "ann", Service: tokeneptest.Issuer, Scope: []string{"api_tokens"}})
		a := s.Send(t, tokeneptest.ExchangeAPIToken(text).By("relay"))
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := bearer(t, s, a.AccessToken())(http.MethodGet, apiTokensPath, ""); a.Status != http.StatusForbidden {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
	for name, body := range map[string]string{
		"no JSON": `{`, "no service": `{"name":"n"}`, "unknown service": `{"service":"https://x.example"}`, "more scope": `{"service":"` + tokeneptest.Orders + `","scope":"admin"}`,
		"unknown member": `{"service":"` + tokeneptest.Orders + `","limit":1}`, "owner": `{"service":"` + tokeneptest.Orders + `","owner":"bob"}`,
		"too long": `{"service":"` + tokeneptest.Orders + `","expires":"2099-01-01T00:00:00Z"}`, "twice": `{"name":"a","name":"b"}`,
		"empty list": `{"service":"` + tokeneptest.Orders + `","allow_from":[]}`,
		"rate":       `{"service":"` + tokeneptest.Orders + `","rate":"often"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if a := good(http.MethodPost, apiTokensPath, body); a.Status != http.StatusBadRequest {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("a sign-in that is not just now", func(t *testing.T) {
		s.Clock.Advance(16 * time.Minute)
		a := good(http.MethodPost, apiTokensPath, want)
		if got := a.Header.Get("WWW-Authenticate"); a.Status != http.StatusUnauthorized ||
			got != `Bearer realm="api_tokens", error="insufficient_user_authentication", max_age="900"` {
			t.Errorf("%d %s %s", a.Status, got, a.Body)
		}
		if a := good(http.MethodGet, apiTokensPath, ""); a.Status != http.StatusOK {
			t.Errorf("the list: %d %s", a.Status, a.Body)
		}
	})
}

// The list has the order of the page: by risk, and then the youngest.
func TestAPITokensAPIListsByRisk(t *testing.T) {
	s, _ := newSite(t, withServices, withAPI)
	for _, name := range []string{"unused", "new 1", "new 2"} {
		s.NewAPIToken(t, state.APIToken{Owner: "ann", Name: name})
		if name == "unused" {
			s.Clock.Advance(48 * time.Hour)
		}
		s.Clock.Advance(time.Second)
	}
	answer := program(t, s, "api_tokens", tokeneptest.Issuer)(http.MethodGet, apiTokensPath, "")
	var names []string
	for _, token := range answer.JSON["api_tokens"].([]any) {
		names = append(names, token.(map[string]any)["name"].(string))
	}
	if want := []string{"unused", "new 2", "new 1"}; !slices.Equal(names, want) {
		t.Errorf("the list is %q, want %q", names, want)
	}
}
