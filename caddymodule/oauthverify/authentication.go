package oauthverify

import (
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// Authentication is oauth_verify as a provider of Caddy's handler authentication, beside others
// such as http_basic: one of them must know the user. Caddy asks them in no fixed order, and nobody
// after the first who does. So it has the options of the handler that say which tokens are good and
// where they are, and none that changes the request or its answer: another provider may have let
// the request in before. A request that it refuses is as it was for the next provider; from one
// that it lets in it removes the token, unless authorization is keep.
//
// That handler gives every refusal the status 401, with the challenges of one of its providers.
// Where 400, 403, 429 and 503 matter, and they do where tokens can lack scope or keys can be away,
// use the handler oauth_verify.
type Authentication struct {
	Handler
}

// CaddyModule returns the Caddy module information.
func (*Authentication) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authentication.providers.oauth_verify",
		New: func() caddy.Module { return new(Authentication) },
	}
}

// Provision makes the guard.
func (a *Authentication) Provision(ctx caddy.Context) error {
	if err := a.Handler.Provision(ctx); err != nil {
		return err
	}
	return a.checkProvider()
}

// checkProvider refuses what needs each request or its answer, also where it is the policy's.
func (a *Authentication) checkProvider() error {
	replaced, _ := a.Authorization.kind()
	for _, option := range []struct {
		name string
		set  bool
	}{
		{"headers", len(a.Headers) > 0},
		{"strip", len(a.Strip) > 0},
		{"authorization", replaced != "" && replaced != "keep"},
		{"optional", a.Optional},
		{"allow_preflight", a.AllowPreflight},
		{"cors_origins", len(a.CORSOrigins) > 0},
		{"insecure_query_token", a.InsecureQueryToken}, // with a private response (RFC 6750 §2.3)
		{"close_streams", a.CloseStreams},
		{"error_body", a.ErrorBody != ""},
		{"resource", a.Resource != ""},
		{"dpop: nonce", a.requiresNonce()},
	} {
		if option.set {
			return fmt.Errorf("%s: a provider of the handler authentication cannot do this, since Caddy may ask another one in its place; "+
				"leave it out, or take the directive oauth_verify", option.name)
		}
	}
	return nil
}

// Authenticate returns the user that the token of a request is about.
func (a *Authentication) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	start := time.Now()
	user := expectIdentity(r)
	before, header, trailer := *r, r.Header.Clone(), maps.Clone(r.Trailer)
	token, err := a.admit(r)
	a.observe(r, token, err, time.Since(start))
	if err != nil {
		// For the next provider. If a form was read, the new body has the same bytes.
		r.URL, r.RequestURI = before.URL, before.RequestURI
		if !a.FormToken {
			r.Body = before.Body
		}
		restore(r.Header, header)
		restore(r.Trailer, trailer)
		a.guard.WriteRefusal(w.Header(), err)
		tell(r, err)
		return caddyauth.User{}, false, nil
	}
	user.identify(r, token, a.guard)
	return caddyauth.User{ID: token.Subject}, true, nil
}

// restore gives a header, which others share, the fields that it had.
func restore(h, fields http.Header) {
	clear(h)
	maps.Copy(h, fields)
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Authentication)(nil)
	_ caddy.CleanerUpper      = (*Authentication)(nil)
	_ caddyauth.Authenticator = (*Authentication)(nil)
)
