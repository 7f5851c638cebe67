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

	// What the issuer has revoked, where it is an oauth_server in another process with a store that
	// this one can read. Default: its tokens are good until they expire, whatever it revokes.
	Revocations *Revocations `json:"revocations,omitempty"`
}

var errSigned = errors.New("signed answers need the keys of the issuer: jwks_uri, discovery, jwks_file or jwks")

// CheckKeys returns an error unless it is said how tokens of the issuer are verified.
func (i *Issuer) CheckKeys() error {
	if err := i.Revocations.check(); err != nil {
		return err
	}
	if i.Introspection != nil && !i.NamesKeys() {
		if i.Introspection.Signed {
			return errSigned
		}
		return nil
	}
	if len(i.HMACSecrets) > 0 && i.Introspection != nil && i.Introspection.Signed {
		return errSigned
	}
	return i.TrustedIssuer.CheckKeys()
}

// provision returns the issuer as it is verified.
func (i *Issuer) provision(ctx caddy.Context) (issuer verify.TrustedIssuer, err error) {
	if err := i.CheckKeys(); err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", i.Issuer, err)
	}
	if issuer, err = i.ProvisionAsked(ctx); err != nil {
		return issuer, err
	}
	if i.Introspection != nil {
		issuer.Introspect, err = i.Introspection.provision(ctx, &issuer, i.TrustedIssuer)
	}
	if err == nil && i.Revocations != nil {
		err = i.Revocations.provision(ctx, &issuer)
	}
	if err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", issuer.Name, err)
	}
	return issuer, nil
}

// Cleanup gives back what is shared with other routes.
func (i *Issuer) Cleanup() error {
	err := errors.Join(i.TrustedIssuer.Cleanup(), i.Revocations.release())
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
	known, err := i.parseRevocationOption(d, option)
	if !known {
		known, err = i.ParseOption(d, option)
	}
	switch {
	case err != nil:
		return err
	case !known:
		return adapt.Unknown(d)
	}
	return adapt.Located(d, i.Check())
}
