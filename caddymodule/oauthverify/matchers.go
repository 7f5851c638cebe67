package oauthverify

import (
	"errors"
	"net/http"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// MatchScope matches requests whose access token has all of these scope tokens, or others that
// include them, as scope_implies of its oauth_verify says. It reads the token that an oauth_verify
// before it has verified, in this request; where there is none, nothing matches. In expressions it
// is the function oauth_scope('orders:read', …).
type MatchScope []string

// MatchClaim matches requests whose access token has all of these claims: each a name, or
// name=value as in require_claims. It reads the token likewise. In expressions it is the function
// oauth_claim('tenant=acme', …).
type MatchClaim struct {
	// The claims. Required.
	Claims []string `json:"claims,omitempty"`

	patterns []verify.ClaimPattern
}

// CaddyModule returns the Caddy module information.
func (MatchScope) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.oauth_scope", New: func() caddy.Module { return new(MatchScope) }}
}

// CaddyModule returns the Caddy module information.
func (MatchClaim) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.oauth_claim", New: func() caddy.Module { return new(MatchClaim) }}
}

// UnmarshalCaddyfile reads the matcher. Syntax:
//
//	oauth_scope <scope tokens…>
func (m *MatchScope) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	places := adapt.PlacesIn(d)
	for d.Next() {
		var some []string
		if err := adapt.Some(d, &some); err != nil {
			return err
		}
		*m = append(*m, some...)
		if err := m.Validate(); err != nil {
			return d.WrapErr(err)
		}
		places.Remember(m, nil)
	}
	return nil
}

// UnmarshalCaddyfile reads the matcher. Syntax:
//
//	oauth_claim <name[=value]…>
func (m *MatchClaim) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	places := adapt.PlacesIn(d)
	for d.Next() {
		var some []string
		if err := adapt.Some(d, &some); err != nil {
			return err
		}
		m.Claims = append(m.Claims, some...)
		if err := m.parse(); err != nil {
			return d.WrapErr(err)
		}
		places.Remember(m, nil)
	}
	return nil
}

var (
	errNoScope = errors.New("oauth_scope needs a scope token: without any, each token would match")
	errNoClaim = errors.New("oauth_claim needs a claim: without any, each token would match")
)

// Validate refuses what no token has, and a list of nothing.
func (m *MatchScope) Validate() error {
	if len(*m) == 0 {
		return errNoScope
	}
	if _, err := (verify.Scope(*m)).MarshalText(); err != nil {
		return err
	}
	if err := adapt.RefusePlaceholders("oauth_scope", *m); err != nil {
		return err
	}
	return adapt.CheckScope(*m, adapt.Line("oauth_scope"))
}

// Provision loads what says whether a guard is in front of it.
func (*MatchScope) Provision(ctx caddy.Context) error {
	_, err := sharedApp(ctx)
	return err
}

// Provision reads the claims, and loads likewise.
func (m *MatchClaim) Provision(ctx caddy.Context) error {
	if _, err := sharedApp(ctx); err != nil {
		return err
	}
	return m.parse()
}

func (m *MatchClaim) parse() (err error) {
	if len(m.Claims) == 0 {
		return errNoClaim
	}
	if err := adapt.RefusePlaceholders("oauth_claim", m.Claims); err != nil {
		return err
	}
	if err := adapt.CheckClaims(m.Claims, adapt.Line("oauth_claim")); err != nil {
		return err
	}
	m.patterns, err = verify.ParseClaimPatterns(m.Claims)
	return err
}

// identityOf returns whom the last guard of a request has let in, or nil.
func identityOf(r *http.Request) *identity {
	if user, ok := caddyhttp.GetVar(r.Context(), identityVar).(*identity); ok && user.token != nil {
		return user
	}
	return nil
}

// MatchWithError reports whether the token of the request has the scope.
func (m MatchScope) MatchWithError(r *http.Request) (bool, error) {
	user := identityOf(r)
	if user == nil {
		return false, nil
	}
	for _, token := range m {
		if !user.guard.Grants(user.token, token) {
			return false, nil
		}
	}
	return true, nil
}

// MatchWithError reports whether the token of the request has the claims.
func (m *MatchClaim) MatchWithError(r *http.Request) (bool, error) {
	user := identityOf(r)
	if user == nil {
		return false, nil
	}
	for i := range m.patterns {
		if !m.patterns[i].Matches(user.token) {
			return false, nil
		}
	}
	return true, nil
}

// CELLibrary makes a function of the matcher.
func (MatchScope) CELLibrary(caddy.Context) (cel.Library, error) {
	return function("oauth_scope", func(words []string) (caddyhttp.RequestMatcherWithError, error) {
		m := MatchScope(words)
		return m, m.Validate()
	})
}

// CELLibrary makes a function of the matcher.
func (MatchClaim) CELLibrary(caddy.Context) (cel.Library, error) {
	return function("oauth_claim", func(words []string) (caddyhttp.RequestMatcherWithError, error) {
		m := &MatchClaim{Claims: words}
		return m, m.parse()
	})
}

func function(name string, matcher func([]string) (caddyhttp.RequestMatcherWithError, error)) (cel.Library, error) {
	return caddyhttp.CELMatcherImpl(name, name+"_request", []*cel.Type{cel.ListType(cel.StringType)},
		func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
			words, err := data.ConvertToNative(reflect.TypeFor[[]string]())
			if err != nil {
				return nil, err
			}
			return matcher(words.([]string))
		})
}

// Interface guards
var (
	_ caddyhttp.RequestMatcherWithError = (*MatchScope)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchClaim)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchScope)(nil)
	_ caddyhttp.CELLibraryProducer      = (*MatchClaim)(nil)
	_ caddyfile.Unmarshaler             = (*MatchScope)(nil)
	_ caddyfile.Unmarshaler             = (*MatchClaim)(nil)
	_ caddy.Validator                   = (*MatchScope)(nil)
	_ caddy.Provisioner                 = (*MatchScope)(nil)
	_ caddy.Provisioner                 = (*MatchClaim)(nil)
)
