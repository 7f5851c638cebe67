package oauthtoken

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// TokenEndpoint is one path of the token endpoint. Its options are for clients that were written
// for another server.
type TokenEndpoint struct {
	// The path. Required.
	Path string `json:"path"`

	// Take a JSON object of strings too, not only a form. RFC 6749 knows forms alone. Default:
	// false.
	JSON bool `json:"json,omitempty"`

	// What kind of token an exchange brings that does not say so (RFC 8693 §2.1 requires it to).
	// Default: none, such an exchange is refused.
	SubjectTokenType string `json:"subject_token_type,omitempty"`

	// The error code for a subject token that is not good: invalid_request (RFC 8693 §2.2.2) or
	// invalid_grant, as many clients expect. Default: invalid_request.
	SubjectTokenError string `json:"subject_token_error,omitempty"`

	// Parameters that are accepted and mean nothing here. Default: none.
	Ignore []string `json:"ignore,omitempty"`

	// The scope tokens (RFC 6749 §3.3) of a client that asks for no scope by client credentials, as
	// far as it may have them. Default: its default scope.
	DefaultScope []string `json:"default_scope,omitempty"`

	// Renew access tokens by exchange: the client to which one was issued gets one that says the
	// same and expires later, and so on for max_chain of token_exchange, which is required with it.
	// Default: false, nothing expires later than what it was exchanged for.
	Renew bool `json:"renew,omitempty"`

	// How long ago such a token may have expired, if the client authenticates by credentials of its
	// own. Default: 0.
	RenewExpired caddy.Duration `json:"renew_expired,omitempty"`

	// Let a client without other credentials authenticate, for token exchange alone, by an access
	// token of its own in the Authorization header that is also the subject token or the actor
	// token. No client that has the grant may be registered for keys or certificates alone.
	// Default: false.
	BearerClient bool `json:"bearer_client,omitempty"`

	// Answer with no other error codes than the six of RFC 6749 §5.2, and with invalid_request in
	// place of invalid_target (RFC 8693 §2.2.2). Default: false.
	BasicErrors bool `json:"basic_errors,omitempty"`

	// The status of invalid_client: 400 or 401. Default: 401, which RFC 6749 §5.2 requires where
	// the client used the Authorization header.
	InvalidClientStatus int `json:"invalid_client_status,omitempty"`
}

// dialect returns how the path differs from the RFCs, or what is wrong with the options.
func (t *TokenEndpoint) dialect() (d tokenep.Dialect, err error) {
	d = tokenep.Dialect{
		JSON: t.JSON, SubjectTokenType: t.SubjectTokenType, SubjectTokenError: tokenep.Code(t.SubjectTokenError), Ignore: t.Ignore,
		Renew: t.Renew, RenewExpired: time.Duration(t.RenewExpired), BearerClient: t.BearerClient, BasicErrors: t.BasicErrors,
		InvalidClientStatus: t.InvalidClientStatus,
	}
	if d.DefaultScope, err = verify.ParseScope(strings.Join(t.DefaultScope, " ")); len(t.DefaultScope) > 0 && err != nil {
		return d, fmt.Errorf("default_scope: %w", err)
	}
	switch {
	case d.SubjectTokenError != "" && d.SubjectTokenError != tokenep.InvalidRequest && d.SubjectTokenError != tokenep.InvalidGrant:
		return d, fmt.Errorf("subject_token_error %q: must be invalid_request or invalid_grant", d.SubjectTokenError)
	case d.RenewExpired < 0 || d.RenewExpired > 0 && !d.Renew:
		return d, fmt.Errorf("renew_expired %s: must not be negative, and only a path that renews tokens can have it", d.RenewExpired)
	case t.InvalidClientStatus != 0 && t.InvalidClientStatus != http.StatusBadRequest && t.InvalidClientStatus != http.StatusUnauthorized:
		return d, fmt.Errorf("invalid_client_status %d: must be 400 or 401", t.InvalidClientStatus)
	}
	return d, nil
}

// dialects are the settings of a path for the clients of some systems, by the name of the dialect.
var dialects = map[string]TokenEndpoint{
	"iceberg": {
		DefaultScope: []string{"catalog"}, Renew: true, RenewExpired: caddy.Duration(time.Hour), BearerClient: true, BasicErrors: true,
	},
	"phrase": {
		SubjectTokenType: "urn:phrase:params:oauth:token-type:api_token", SubjectTokenError: string(tokenep.InvalidGrant),
		Ignore: []string{
			"resource", "audience", "scope", "actor_token", "actor_token_type", "subject_token_type", "requested_token_type",
			"client_id", "client_secret", "client_assertion", "client_assertion_type",
		},
		BasicErrors: true, InvalidClientStatus: http.StatusBadRequest,
	},
	"telnyx": {JSON: true},
}
