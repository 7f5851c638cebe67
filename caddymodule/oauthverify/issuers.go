package oauthverify

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

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
	if h.trustsServer() {
		s, err := oauthserver.Lookup(ctx, h.Server)
		if errors.Is(err, caddy.ErrNotConfigured) {
			return nil, errNobody
		}
		if err != nil {
			return nil, err
		}
		own := s.Server().Trusted()
		own.Audience, own.InsecureAnyAudience = audience, h.InsecureAnyAudience
		issuers = append(issuers, own)
		h.server, h.label = s, s.Name()
	}
	for _, t := range h.Issuers {
		if t == nil {
			return nil, errors.New("an issuer must not be null")
		}
		issuer, err := t.provision(ctx)
		if err != nil {
			return nil, adapt.Of("issuer "+t.Issuer, err)
		}
		if h.server != nil && issuer.Name == issuers[0].Name {
			return nil, adapt.Of("issuer "+t.Issuer, fmt.Errorf("issuer %s is that of the server %q, which the route trusts already: remove the block issuer, or the line server", issuer.Name, h.label))
		}
		if own := oauthserver.Issuers(ctx)[issuer.Name]; own != nil {
			h.logger.Warn("this issuer is an oauth_server of this configuration, and the route would ask for its keys over the network, and not know what it has revoked: "+
				"write the line server in the place of the block issuer", "issuer", t.Issuer, "server", own.Name())
		}
		if len(t.Audience) == 0 {
			issuer.Audience, issuer.InsecureAnyAudience = audience, h.InsecureAnyAudience
		}
		issuers = append(issuers, issuer)
	}
	return issuers, nil
}

// trustsServer reports whether a server of this process is trusted.
func (o *Options) trustsServer() bool { return o.Server != "" || len(o.Issuers) == 0 }

// checkServer refuses a server that the Caddyfile does not have. A part of one may have none at
// all.
func (o *Options) checkServer(option any, line *caddyfile.Dispenser) error {
	if !o.trustsServer() {
		return nil
	}
	_, err := oauthserver.Adapted(option, o.Server)
	if errors.Is(err, caddy.ErrNotConfigured) {
		adapt.Warn(line, errNobody.Error()+": it will not load")
		return nil
	}
	return adapt.Located(line, err)
}

var errNobody = errors.New("no issuer is trusted: configure the global option oauth_server, or an issuer with its keys")

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
	if o.trustsServer() {
		return errNoAudience
	}
	for _, t := range o.Issuers {
		if t != nil && len(t.Audience) == 0 {
			return fmt.Errorf("issuer %s: %w", t.Issuer, errNoAudience)
		}
	}
	return nil
}
