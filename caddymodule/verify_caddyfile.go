package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

func parseGuard(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	g := new(Guard)
	return g, g.UnmarshalCaddyfile(h.Dispenser)
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
//	    max_token_size <bytes>
//	}
//
// issuer and header may be repeated.
func (g *Guard) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("oauth_verify takes no argument; its options go into its block")
	}
	block := *d // stays where the block begins
	err := readBlock(d, func(option string) error {
		if err := g.parseOption(d, option); err != nil {
			return err
		}
		return located(d, g.check())
	}, "issuer", "header")
	if err != nil {
		return err
	}
	return located(&block, g.checkAudience())
}

func (g *Guard) parseOption(d *caddyfile.Dispenser, option string) error {
	if flag := g.flag(option); flag != nil {
		return readFlag(d, flag)
	}
	switch option {
	case "server":
		return readOne(d, &g.Server)
	case "issuer":
		return g.parseIssuer(d)
	case "audience":
		return readSome(d, &g.Audience)
	case "scope":
		return readSome(d, &g.Scope)
	case "any_scope":
		return readSome(d, &g.AnyScope)
	case "header":
		return g.parseHeader(d)
	case "strip":
		return readSome(d, &g.Strip)
	case "realm":
		return readOne(d, &g.Realm)
	case "leeway":
		g.Leeway = new(caddy.Duration)
		return readDuration(d, g.Leeway)
	case "max_token_size":
		return readCount(d, &g.MaxTokenSize)
	default:
		return unknown(d)
	}
}

// check puts together what is known so far, with an issuer in the place of those that are known later.
func (g *Guard) check() error {
	realm := ""
	if isLiteral(g.Realm) {
		realm = g.Realm
	}
	_, err := g.assemble(anyIssuer(verify.TrustedIssuer{Name: "any"}), realm)
	return err
}

// anyIssuer completes an issuer whose keys and audience are not known yet.
func anyIssuer(issuer verify.TrustedIssuer) verify.Config {
	issuer.Keys, issuer.InsecureAnyAudience = new(verify.StaticKeys), true
	return verify.Config{Issuers: []verify.TrustedIssuer{issuer}}
}

// flag returns the option of that name which has no arguments, or nil.
func (g *Guard) flag(option string) *bool {
	switch option {
	case "optional":
		return &g.Optional
	case "keep_authorization":
		return &g.KeepAuthorization
	case "allow_preflight":
		return &g.AllowPreflight
	case "form_token":
		return &g.FormToken
	case "insecure_query_token":
		return &g.InsecureQueryToken
	case "insecure_any_audience":
		return &g.InsecureAnyAudience
	}
	return nil
}

func (g *Guard) parseHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || args[0] == "" || args[1] == "" {
		return d.Err("header takes two arguments: the header and the claim")
	}
	g.Headers = append(g.Headers, ClaimHeader{Header: args[0], Claim: args[1]})
	return nil
}

// parseIssuer reads an issuer that is not of this process. Syntax:
//
//	issuer <url> {
//	    jwks_file  <path>
//	    audience   <values…>
//	    algorithms <algs…>
//	    types      <typs…>
//	    allow_missing_kid
//	}
func (g *Guard) parseIssuer(d *caddyfile.Dispenser) error {
	t := new(TrustedIssuer)
	if err := readOne(d, &t.Issuer); err != nil {
		return err
	}
	for _, other := range g.Issuers {
		if other.Issuer == t.Issuer {
			return d.Errf("issuer %s is given twice", t.Issuer)
		}
	}
	g.Issuers = append(g.Issuers, t)
	block := *d // stays where the block begins
	err := readBlock(d, func(option string) error {
		if err := t.parseOption(d, option); err != nil {
			return err
		}
		_, err := verify.New(anyIssuer(t.trust()))
		return located(d, err)
	})
	if err == nil && t.JWKSFile == "" {
		err = block.Errf("issuer %s: jwks_file is missing: the file with its public keys", t.Issuer)
	}
	return err
}

func (t *TrustedIssuer) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "jwks_file":
		return readOne(d, &t.JWKSFile)
	case "audience":
		return readSome(d, &t.Audience)
	case "algorithms":
		return readSome(d, &t.Algorithms)
	case "types":
		return readSome(d, &t.Types)
	case "allow_missing_kid":
		return readFlag(d, &t.AllowMissingKID)
	default:
		return unknown(d)
	}
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Guard)(nil)
