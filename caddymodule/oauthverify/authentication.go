package oauthverify

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// Authentication is oauth_verify as a provider of Caddy's handler authentication, beside others
// such as http_basic: one of them must know the user. It has the options of the handler.
//
// That handler gives every refusal the status 401. Where 400, 403, 429 and 503 matter, and they do
// where tokens can lack scope or keys can be away, use the handler oauth_verify. The challenges are
// written all the same.
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
	if a.InsecureQueryToken { // which may be the policy's
		return errQueryToken
	}
	return nil
}

// errQueryToken refuses what needs a response that is marked as private (RFC 6750 §2.3).
var errQueryToken = errors.New("insecure_query_token: take the handler oauth_verify, which marks the response as private")

// Authenticate returns the user that the token of a request is about.
func (a *Authentication) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	start := time.Now()
	a.guard.OfferNonce(w.Header(), r)
	user := expectIdentity(r)
	token, err := a.admit(r)
	a.observe(r, token, err, time.Since(start))
	if err != nil {
		a.guard.WriteRefusal(w.Header(), err)
		tell(r, err)
		return caddyauth.User{}, false, nil
	}
	if token == nil {
		return caddyauth.User{}, a.Optional || r.Method == http.MethodOptions, nil
	}
	user.identify(r, token, a.guard)
	return caddyauth.User{ID: token.Subject}, true, nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Authentication)(nil)
	_ caddy.CleanerUpper      = (*Authentication)(nil)
	_ caddyauth.Authenticator = (*Authentication)(nil)
)
