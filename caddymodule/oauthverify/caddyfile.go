package oauthverify

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthissuer"
	"github.com/tokenep/caddy-tokenep/verify"
)

func parse(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	return h, h.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	oauth_verify [<matcher>] {
//	    server    <name>
//	    issuer    <url> { … }
//	    audience  <values…>
//	    scope     <scope tokens, all of them…>
//	    any_scope <scope tokens, one of them…>
//	    header    <header> <claim>
//	    strip     <headers…>
//	    realm     <realm>
//	    leeway    <duration>
//	    optional
//	    keep_authorization
//	    allow_preflight
//	    form_token
//	    insecure_query_token
//	    insecure_any_audience
//	    insecure_any_path
//	    max_token_size <bytes>
//	    error_body     iceberg
//	}
//
// issuer and header may be repeated.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("oauth_verify takes no argument; its options go into its block")
	}
	block := *d // stays at the beginning of the block
	err := adapt.Block(d, func(option string) error {
		if err := h.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(d, h.check())
	}, "issuer", "header")
	if err != nil {
		return err
	}
	return adapt.Located(&block, h.checkAudience())
}

func (h *Handler) parseOption(d *caddyfile.Dispenser, option string) error {
	if flag := h.flag(option); flag != nil {
		return adapt.Flag(d, flag)
	}
	switch option {
	case "server":
		return adapt.One(d, &h.Server)
	case "issuer":
		return h.parseIssuer(d)
	case "audience":
		return adapt.Audience(d, &h.Audience)
	case "scope":
		return adapt.Some(d, &h.Scope)
	case "any_scope":
		return adapt.Some(d, &h.AnyScope)
	case "header":
		return h.parseHeader(d)
	case "strip":
		return adapt.Some(d, &h.Strip)
	case "realm":
		return adapt.One(d, &h.Realm)
	case "leeway":
		h.Leeway = new(caddy.Duration)
		return adapt.Duration(d, h.Leeway)
	case "error_body":
		return adapt.Choice(d, &h.ErrorBody, icebergBody)
	case "max_token_size":
		return adapt.Count(d, &h.MaxTokenSize)
	default:
		return adapt.Unknown(d)
	}
}

// check makes a guard of the options that are known so far, with an issuer in place of those that
// are loaded later.
func (h *Handler) check() error {
	realm := ""
	if adapt.IsLiteral(h.Realm) {
		realm = h.Realm
	}
	later := verify.TrustedIssuer{Name: "any", Keys: new(verify.StaticKeys), InsecureAnyAudience: true}
	_, err := h.assemble(verify.Config{Issuers: []verify.TrustedIssuer{later}}, realm)
	return err
}

// flag returns the option without arguments that has that name, or nil.
func (h *Handler) flag(option string) *bool {
	switch option {
	case "optional":
		return &h.Optional
	case "keep_authorization":
		return &h.KeepAuthorization
	case "allow_preflight":
		return &h.AllowPreflight
	case "form_token":
		return &h.FormToken
	case "insecure_query_token":
		return &h.InsecureQueryToken
	case "insecure_any_audience":
		return &h.InsecureAnyAudience
	case "insecure_any_path":
		return &h.InsecureAnyPath
	}
	return nil
}

func (h *Handler) parseHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[0] == "" || args[1] == "" {
		return d.Err("header takes two arguments: the header and the claim")
	}
	h.Headers = append(h.Headers, ClaimHeader{Header: args[0], Claim: args[1]})
	return nil
}

// parseIssuer reads an issuer that is not in this process. Syntax:
//
//	issuer <url> {
//	    <options of oauthissuer.TrustedIssuer…>
//	}
func (h *Handler) parseIssuer(d *caddyfile.Dispenser) error {
	t := new(oauthissuer.TrustedIssuer)
	if err := adapt.One(d, &t.Issuer); err != nil {
		return err
	}
	for _, other := range h.Issuers {
		if other.Issuer == t.Issuer {
			return d.Errf("issuer %s is given twice", t.Issuer)
		}
	}
	h.Issuers = append(h.Issuers, t)
	block := *d // stays at the beginning of the block
	err := adapt.Block(d, func(option string) error {
		known, err := t.ParseOption(d, option)
		if err != nil {
			return err
		}
		if !known {
			return adapt.Unknown(d)
		}
		return adapt.Located(d, t.Check())
	})
	if err != nil {
		return err
	}
	if err := t.CheckKeys(); err != nil {
		return block.Errf("issuer %s: %w", t.Issuer, err)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
