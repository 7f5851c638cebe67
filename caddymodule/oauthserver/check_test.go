package oauthserver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
)

// What is not always a mistake is a warning, and loads.
func TestWarnClients(t *testing.T) {
	now := time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name, want string // the warning has it; empty: there is none
		client     tokenep.Client
	}{
		{"an expired secret", "client=billing expired=2030-01-31", tokenep.Client{Secrets: []tokenep.Secret{{Hash: marker, Expires: now}}}},
		{"a secret that expires", "", tokenep.Client{Secrets: []tokenep.Secret{{Hash: marker, Expires: now.Add(time.Second)}}}},
		{"a secret that does not", "", tokenep.Client{Secrets: []tokenep.Secret{{Hash: marker}}}},
		{"a hash that takes long", "client=billing about=1.96608s most=250ms", tokenep.Client{Secrets: []tokenep.Secret{{Hash: bcryptOfAntitiming}}}},
		{"a hash that does not", "", tokenep.Client{Secrets: []tokenep.Secret{{Hash: argon2idOfAntitiming}}}},
		{"exchange_from nobody known", "client=billing exchange_from=gateway", tokenep.Client{ExchangeFrom: []string{"gateway"}}},
		{"exchange_from a policy", "", tokenep.Client{GrantTypes: []string{grant.TokenExchangeType}, ExchangeFrom: []string{"policy:deploy"}}},
		{"exchange_from no policy", "client=billing exchange_from=policy:release", tokenep.Client{ExchangeFrom: []string{"policy:release"}}},
		{"may_act_for nobody known", `client=billing may_act_for="client_id=nobody"`, tokenep.Client{MayActFor: []string{"client_id=nobody"}}},
		{"may_act_for whoever is known", "", tokenep.Client{MayActFor: []string{"client_id=portal", "client_id=policy:deploy", "sub=nobody", "*"}}},
		{"actor_from nobody known", `client=billing actor_from="client_id=nobody"`, tokenep.Client{ActorFrom: []string{"client_id=nobody"}}},
		{"plain PKCE", "insecure_plain_pkce", tokenep.Client{InsecurePlainPKCE: true}},
		{"no PKCE", "insecure_no_pkce", tokenep.Client{InsecureNoPKCE: true}},
		{"exchange_from a client", "", tokenep.Client{GrantTypes: []string{grant.TokenExchangeType}, ExchangeFrom: []string{"portal", "*"}}},
		{"no grants", "can get no token", tokenep.Client{GrantTypes: []string{}}},
		{"nothing to refresh", "can get no token", tokenep.Client{GrantTypes: []string{"refresh_token"}}},
		{"a protected resource", "", tokenep.Client{GrantTypes: []string{}, Introspect: []string{"*"}}},
	} {
		var log bytes.Buffer
		portal := tokenep.Client{ID: "portal", GrantTypes: []string{"client_credentials"}}
		if row.client.ID = "billing"; row.client.GrantTypes == nil {
			row.client.GrantTypes = portal.GrantTypes
		}
		config := &server.Config{
			Clients:  []tokenep.Client{row.client, portal},
			Subjects: []*subject.Source{{Policies: []subject.Policy{{Name: "deploy"}}}},
		}
		warnClients(slog.New(slog.NewTextHandler(&log, nil)), config, now)
		if got := log.String(); !strings.Contains(got, row.want) || (got != "") != (row.want != "") || strings.Contains(got, marker) {
			t.Errorf("%s: %s", row.name, got)
		}
	}
}

// RFC 6454 §6.2: an origin as browsers write it.
func TestCheckOrigins(t *testing.T) {
	for origin, good := range map[string]bool{
		"*": true, "https://app.example": true, "https://app.example:8443": true, "http://localhost:3000": true, "http://[::1]:3000": true,
		"http://app.example:443": true, "capacitor://localhost": true, "https://xn--bcher-kva.example": true,
		"": false, "null": false, "app.example": false, "https://": false, "https://:8443": false, "https://app.example:": false,
		"https://app.example/": false, "https://app.example?": false, "https://app.example#": false, "https://a@app.example": false,
		"https://App.example": false, "HTTPS://app.example": false, "https://bücher.example": false, "https://*.app.example": false,
		"https://app.example:443": false, "http://app.example:80": false, "https://a.example https://b.example": false, "{env.APP}": false,
	} {
		if err := CheckOrigins([]string{"https://a.example", origin}); (err == nil) != good {
			t.Errorf("%q: %v", origin, err)
		}
	}
}
