package oauthverify

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthissuer"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Issuer is an authorization server elsewhere, whose tokens a route accepts.
type Issuer struct {
	oauthissuer.TrustedIssuer

	// How the issuer is asked about tokens that are none of its JWTs, such as opaque ones (RFC
	// 7662). Where its keys are need not be said then, and it is asked about its JWTs too. One
	// issuer of a route can have it. Default: such tokens are refused.
	Introspection *Introspection `json:"introspection,omitempty"`
}

// CheckKeys returns an error unless it is said how tokens of the issuer are verified.
func (i *Issuer) CheckKeys() error {
	if i.Introspection != nil && !i.NamesKeys() {
		return nil
	}
	return i.TrustedIssuer.CheckKeys()
}

// provision returns the issuer as it is verified.
func (i *Issuer) provision(ctx caddy.Context) (issuer verify.TrustedIssuer, err error) {
	if i.Introspection == nil {
		return i.Provision(ctx)
	}
	if issuer, err = i.ProvisionAsked(ctx); err != nil {
		return issuer, err
	}
	if issuer.Introspect, err = i.Introspection.provision(ctx, &issuer); err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", issuer.Name, err)
	}
	return issuer, nil
}

// Cleanup gives back what is shared with other routes.
func (i *Issuer) Cleanup() error {
	err := i.TrustedIssuer.Cleanup()
	if i.Introspection != nil {
		err = errors.Join(err, i.Introspection.release())
	}
	return err
}

// parseOption reads the line at d.
func (i *Issuer) parseOption(d *caddyfile.Dispenser, option string) error {
	if option == "introspection" {
		return i.parseIntrospection(d)
	}
	known, err := i.ParseOption(d, option)
	switch {
	case err != nil:
		return err
	case !known:
		return adapt.Unknown(d)
	}
	return adapt.Located(d, i.Check())
}
