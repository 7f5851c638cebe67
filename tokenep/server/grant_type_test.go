package server_test

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// RFC 6749 §5.2: what is wrong with grant_type, and in which order it is looked at.
func TestGrantType(t *testing.T) {
	newFixture(t).hold(t, []rule{
		{"5.2: missing", post().by("billing"), 400, tokenep.InvalidRequest},
		{"5.2: missing, and no client", post("scope", "x"), 400, tokenep.InvalidRequest},
		{"5.2: unknown", post("grant_type", "x").by("billing"), 400, tokenep.UnsupportedGrantType},
		{"5.2: not built", post("grant_type", "password").by("billing"), 400, tokenep.UnsupportedGrantType},
		{"implicit is no grant_type", post("grant_type", "implicit").by("billing"), 400, tokenep.UnsupportedGrantType},
		{"nor is none", post("grant_type", "none").by("billing"), 400, tokenep.UnsupportedGrantType},
		{"the value is case-sensitive", post("grant_type", "Client_Credentials").by("billing"), 400, tokenep.UnsupportedGrantType},
		{"and nothing is trimmed", post("grant_type", " client_credentials").by("billing"), 400, tokenep.UnsupportedGrantType},
		{"5.2: a grant that the client may not use", post("grant_type", cc).by("broker"), 400, tokenep.UnauthorizedClient},
		{"5.2: the same, known by the body", post("grant_type", exchange, "client_id", "reports", "client_secret", "reports-secret"), 400, tokenep.UnauthorizedClient},
		{"4.4: for confidential clients alone", post("grant_type", cc, "client_id", "app"), 400, tokenep.UnauthorizedClient},

		{"a wrong client comes before an unknown grant", post("grant_type", "x").basic("billing", "x"), 401, tokenep.InvalidClient},
		{"a wrong client comes before a missing grant", post().basic("billing", "x"), 401, tokenep.InvalidClient},
		{"a wrong client comes before a bad target", post("grant_type", cc, "audience", "x").basic("billing", "x"), 401, tokenep.InvalidClient},
		{"a repeated parameter comes before a wrong client", post("grant_type", cc, "grant_type", cc).basic("billing", "x"), 400, tokenep.InvalidRequest},
		{"an unknown grant comes before the missing client", post("grant_type", "x"), 400, tokenep.UnsupportedGrantType},
		{"a grant that is not the client's comes before its scope", post("grant_type", cc, "scope", "x").by("broker"), 400, tokenep.UnauthorizedClient},
		{"and before its parameters", post("grant_type", exchange).by("reports"), 400, tokenep.UnauthorizedClient},
	})
}

// A grant that is not configured is not there, whoever asks.
func TestGrantTypeNotOffered(t *testing.T) {
	f := newFixture(t, func(c *server.Config) { c.Exchange = server.Exchange{} })
	f.hold(t, []rule{
		{"5.2", post("grant_type", exchange, "subject_token", "x", "subject_token_type", accessToken).by("billing"), 400, tokenep.UnsupportedGrantType},
		{"the other one is", post("grant_type", cc).by("billing"), 200, ""},
	})
	metadata := f.do(t, get("/.well-known/oauth-authorization-server"))
	if grants, _ := metadata.json["grant_types_supported"].([]any); len(grants) != 1 || grants[0] != cc {
		t.Errorf("grant_types_supported: %v", grants)
	}
}
