package oauthverify

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/verify"
)

// trusted returns the issuers that the handler trusts. If the server of this process is one of
// them, it sets h.server.
func (h *Handler) trusted(ctx caddy.Context) ([]verify.TrustedIssuer, error) {
	audience, err := adapt.ResolveAudience(h.Audience)
	if len(audience) == 0 && h.Resource != "" && !h.InsecureAnyAudience {
		audience = []string{h.Resource} // RFC 8707 §2
	}
	if err != nil {
		return nil, err
	}
	var issuers []verify.TrustedIssuer
	if h.Server != "" || len(h.Issuers) == 0 {
		s, err := oauthserver.Lookup(ctx, h.Server)
		if errors.Is(err, caddy.ErrNotConfigured) {
			return nil, errors.New("no issuer is trusted: configure the global option oauth_server, or an issuer with its keys")
		}
		if err != nil {
			return nil, err
		}
		own := s.Server().Trusted()
		own.Audience, own.InsecureAnyAudience = audience, h.InsecureAnyAudience
		issuers = append(issuers, own)
		h.server, h.label = s, s.Name()
		h.warnOfForms(audience)
	}
	for _, t := range h.Issuers {
		if t == nil {
			return nil, errors.New("an issuer must not be null")
		}
		issuer, err := t.provision(ctx)
		if err != nil {
			return nil, err
		}
		if len(t.Audience) == 0 {
			issuer.Audience, issuer.InsecureAnyAudience = audience, h.InsecureAnyAudience
		}
		issuers = append(issuers, issuer)
	}
	return issuers, nil
}

var errNoAudience = errors.New("an audience is required, so that tokens for other resources are not accepted: " +
	"the name of this API in aud, such as https://api.example.com/orders")

var errAnyAudience = errors.New("audience and insecure_any_audience exclude each other: remove one; " +
	"a route is without one of its policy by: policy <name> except insecure_any_audience")

func (o *Options) checkAnyAudience() error {
	if len(o.Audience) > 0 && o.InsecureAnyAudience {
		return errAnyAudience
	}
	return nil
}

// checkAudience returns an error if an issuer has no audience, neither its own nor that of the
// handler.
func (o *Options) checkAudience() error {
	if len(o.Audience) > 0 || o.Resource != "" || o.InsecureAnyAudience {
		return nil
	}
	if o.Server != "" || len(o.Issuers) == 0 {
		return errNoAudience
	}
	for _, t := range o.Issuers {
		if t != nil && len(t.Audience) == 0 {
			return fmt.Errorf("issuer %s: %w", t.Issuer, errNoAudience)
		}
	}
	return nil
}
