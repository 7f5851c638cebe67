package tokenep_test

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 6749 §5.2: what can be wrong with grant_type, and what is checked first.
func TestGrantType(t *testing.T) {
	tokeneptest.New(t).Run(t, []rule{
		refuses("5.2: missing", post().By("billing"), 400, tokenep.InvalidRequest),
		refuses("5.2: missing, and no client", post("scope", "x"), 400, tokenep.InvalidRequest),
		refuses("5.2: unknown", post("grant_type", "x").By("billing"), 400, tokenep.UnsupportedGrantType),
		refuses("5.2: not built", post("grant_type", "password").By("billing"), 400, tokenep.UnsupportedGrantType),
		refuses("implicit is no grant_type", post("grant_type", "implicit").By("billing"), 400, tokenep.UnsupportedGrantType),
		refuses("nor is none", post("grant_type", "none").By("billing"), 400, tokenep.UnsupportedGrantType),
		refuses("the value is case-sensitive", post("grant_type", "Client_Credentials").By("billing"), 400, tokenep.UnsupportedGrantType),
		refuses("and nothing is trimmed", post("grant_type", " client_credentials").By("billing"), 400, tokenep.UnsupportedGrantType),
		refuses("5.2: a grant that the client may not use", post("grant_type", cc).By("broker"), 400, tokenep.UnauthorizedClient),
		refuses("5.2: the same, known by the body", post("grant_type", exchange, "client_id", "reports", "client_secret", "reports-secret"), 400, tokenep.UnauthorizedClient),
		refuses("4.4: for confidential clients alone", post("grant_type", cc, "client_id", "app"), 400, tokenep.UnauthorizedClient),

		refuses("a wrong client comes before an unknown grant", post("grant_type", "x").Basic("billing", "x"), 401, tokenep.InvalidClient),
		refuses("a wrong client comes before a missing grant", post().Basic("billing", "x"), 401, tokenep.InvalidClient),
		refuses("a wrong client comes before a bad target", post("grant_type", cc, "audience", "x").Basic("billing", "x"), 401, tokenep.InvalidClient),
		refuses("a repeated parameter comes before a wrong client", post("grant_type", cc, "grant_type", cc).Basic("billing", "x"), 400, tokenep.InvalidRequest),
		refuses("an unknown grant comes before the missing client", post("grant_type", "x"), 400, tokenep.UnsupportedGrantType),
		refuses("a grant that is not the client's comes before its scope", post("grant_type", cc, "scope", "x").By("broker"), 400, tokenep.UnauthorizedClient),
		refuses("and before its parameters", post("grant_type", exchange).By("reports"), 400, tokenep.UnauthorizedClient),
	})
}

// A grant that is not configured is unsupported, whoever asks for it.
func TestGrantTypeNotOffered(t *testing.T) {
	f := tokeneptest.New(t, func(c *server.Config) { c.Exchange = server.Exchange{} })
	f.Run(t, []rule{
		refuses("5.2", post("grant_type", exchange, "subject_token", "x", "subject_token_type", accessToken).By("billing"), 400, tokenep.UnsupportedGrantType),
		grants("the other one is", post("grant_type", cc).By("billing")),
	})
	metadata := f.Send(t, get("/.well-known/oauth-authorization-server"))
	if grants, _ := metadata.JSON["grant_types_supported"].([]any); len(grants) != 1 || grants[0] != cc {
		t.Errorf("grant_types_supported: %v", grants)
	}
}
