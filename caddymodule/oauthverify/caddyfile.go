package oauthverify

import (
	"cmp"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// parse reads the directive, for the site and its matcher. Where there is a matcher, requests for
// the metadata of the resource get a route of their own: they are not at its path.
func parse(helper httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !helper.Next() {
		return nil, helper.ArgErr()
	}
	matchers, err := helper.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	h := new(Handler)
	block := *helper.Dispenser // stays at the beginning
	places := adapt.PlacesIn(helper.Dispenser)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	block.Next()
	options := h.Options
	if h.Policy != "" {
		app, err := adaptedApp(helper.Option(appName))
		if err != nil {
			return nil, err
		}
		if options, err = app.apply(h); err != nil {
			return nil, block.WrapErr(err)
		}
		if err := cmp.Or(options.check(), options.checkAudience()); err != nil {
			return nil, block.WrapErr(err)
		}
	}
	if err := options.checkServer(helper.Option("oauth_server"), &block); err != nil {
		return nil, err
	}
	places.Remember(h, &helper)
	routes := helper.NewRoute(matchers, h)
	if options.Resource == "" || matchers == nil {
		return routes, nil
	}
	path := verify.ResourceWellKnown + "*"
	if at, err := verify.MetadataURL(options.Resource); err == nil {
		path = at.Path
	}
	matcher := caddy.ModuleMap{"path": caddyconfig.JSON([]string{path}, nil)}
	return append(helper.NewRoute(matcher, new(ResourceMetadata)), routes...), nil
}

// parseResourceMetadata reads the directive oauth_resource_metadata, which has no options.
func parseResourceMetadata(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	helper.Next() // consume directive name
	if helper.NextArg() || helper.NextBlock(0) {
		return nil, helper.Err("oauth_resource_metadata takes no argument and has no block")
	}
	return new(ResourceMetadata), nil
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	oauth_verify [<matcher>] {
//	    policy    <name> [except <options…>]
//	    server    <name>
//	    issuer    <url> { … }
//	    audience  <values…>
//	    scope     <scope tokens, all of them…>
//	    any_scope <scope tokens, one of them…>
//	    scope_implies  <scope token> <scope tokens…>
//	    rule           <condition>
//	    mcp { … }
//	    require_claims <name[=value]…>
//	    max_lifetime   <duration>
//	    max_auth_age   <duration>
//	    acr_values     <values…>
//	    header    <header> <claim> [<form>] [omit]
//	    strip     <headers…>
//	    resource  <url>
//	    realm     <realm>
//	    leeway    <duration>
//	    optional
//	    close_streams
//	    authorization  strip | keep | <credential…>
//	    allow_preflight
//	    cors_origins   <origins…>
//	    form_token
//	    insecure_query_token
//	    token_header   <header> [<scheme>]
//	    token_cookie   <names…>
//	    insecure_any_origin
//	    insecure_any_audience
//	    insecure_any_path
//	    insecure_any_method
//	    max_token_size <bytes>
//	    error_body     json|problem|iceberg
//	    dpop                { … }
//	    client_certificates { … }
//	}
//
// issuer, scope_implies, rule, token_header and header may be repeated. Conditions with spaces or
// quotation marks stand between backticks.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("oauth_verify takes no argument; its options go into its block")
	}
	block := *d // stays at the beginning of the block
	if err := h.parse(d, h.parsePolicyOf); err != nil {
		return err
	}
	if h.Policy != "" {
		return adapt.Located(&block, h.checkExcept())
	}
	return adapt.Located(&block, h.checkAudience())
}

// parse reads a block of options, and a policy where there may be one.
func (o *Options) parse(d *caddyfile.Dispenser, policy func(*caddyfile.Dispenser) error) error {
	return adapt.Block(d, func(option string) error {
		if option == "policy" && policy != nil {
			return policy(d)
		}
		if err := o.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(d, o.check())
	}, "issuer", "scope_implies", "rule", "token_header", "header")
}

func (o *Options) parseOption(d *caddyfile.Dispenser, option string) error {
	if flag := o.flag(option); flag != nil {
		return adapt.Flag(d, flag)
	}
	if list := o.list(option); list != nil {
		return adapt.Some(d, list)
	}
	switch option {
	case "server":
		return adapt.One(d, &o.Server)
	case "issuer":
		return o.parseIssuer(d)
	case "audience":
		return adapt.Audience(d, &o.Audience)
	case "scope_implies":
		return o.parseScopeImplies(d)
	case "rule":
		if d.CountRemainingArgs() != 1 {
			return d.Err("rule takes one condition, between backticks")
		}
		o.Rules = append(o.Rules, d.RemainingArgs()...)
		return nil
	case "max_lifetime":
		return adapt.Duration(d, &o.MaxLifetime, atLeastASecond)
	case "max_auth_age":
		return adapt.Duration(d, &o.MaxAuthAge, atLeastASecond)
	case "token_header":
		return o.parseTokenHeader(d)
	case "header":
		return o.parseHeader(d)
	case "resource":
		return adapt.One(d, &o.Resource)
	case "realm":
		return adapt.One(d, &o.Realm)
	case "leeway":
		o.Leeway = new(caddy.Duration)
		return adapt.Duration(d, o.Leeway)
	case "error_body":
		return adapt.Choice(d, &o.ErrorBody, errorBodies...)
	case "max_token_size":
		return adapt.Count(d, &o.MaxTokenSize)
	default:
		return o.parseBlock(d, option)
	}
}

// check makes a guard of the options that are known so far, with an issuer in place of those that
// are loaded later.
func (o *Options) check() error {
	literal := *o
	for _, value := range []*string{&literal.Realm, &literal.Resource} {
		if !adapt.IsLiteral(*value) {
			*value = ""
		}
	}
	later := verify.TrustedIssuer{Name: "any", Keys: new(verify.StaticKeys), InsecureAnyAudience: true}
	_, err := literal.assemble(verify.Config{Issuers: []verify.TrustedIssuer{later}}, literal.ownCertificateHeader())
	return err
}

// flag returns the option without arguments that has that name, or nil.
func (o *Options) flag(option string) *bool {
	switch option {
	case "close_streams":
		return &o.CloseStreams
	case "optional":
		return &o.Optional
	case "allow_preflight":
		return &o.AllowPreflight
	case "form_token":
		return &o.FormToken
	case "insecure_query_token":
		return &o.InsecureQueryToken
	case "insecure_any_audience":
		return &o.InsecureAnyAudience
	case "insecure_any_origin":
		return &o.InsecureAnyOrigin
	case "insecure_any_path":
		return &o.InsecureAnyPath
	case "insecure_any_method":
		return &o.InsecureAnyMethod
	}
	return nil
}

func (o *Options) parseScopeImplies(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("scope_implies takes a scope token, and those that it includes")
	}
	if o.ScopeImplies == nil {
		o.ScopeImplies = make(map[string][]string)
	}
	if o.ScopeImplies[args[0]] != nil {
		return d.Errf("scope_implies %s is given twice; write all that it includes in one line", args[0])
	}
	o.ScopeImplies[args[0]] = args[1:]
	return nil
}

func (o *Options) parseTokenHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || args[0] == "" {
		return d.Err("token_header takes the header, and the scheme before the token if there is one")
	}
	source := TokenHeader{Header: args[0]}
	if len(args) == 2 {
		source.Scheme = args[1]
	}
	o.TokenHeaders = append(o.TokenHeaders, source)
	return nil
}

var errZero = errors.New("it must be one second or more")

func atLeastASecond(d time.Duration) error {
	if d < time.Second {
		return errZero
	}
	return nil
}

// list returns the option of that name whose arguments are a list of words, or nil.
func (o *Options) list(option string) *[]string {
	switch option {
	case "scope":
		return &o.Scope
	case "any_scope":
		return &o.AnyScope
	case "require_claims":
		return &o.RequireClaims
	case "acr_values":
		return &o.ACRValues
	case "strip":
		return &o.Strip
	case "cors_origins":
		return &o.CORSOrigins
	case "token_cookie":
		return &o.TokenCookies
	}
	return nil
}

// parseHeader reads a claim that is written to a header. Syntax:
//
//	header <header> <claim> [repeat|percent|base64|json|separator <character>] [omit]
func (o *Options) parseHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || args[0] == "" || args[1] == "" {
		return d.Err("header takes the header and the claim, and behind them how the claim is written")
	}
	path, err := verify.ParseClaimPath(args[1])
	if err != nil {
		return d.Errf("header: %w", err)
	}
	c := ClaimHeader{Header: args[0], Claim: path}
	if args = args[2:]; len(args) > 0 && args[len(args)-1] == "omit" {
		c.Omit, args = true, args[:len(args)-1]
	}
	switch {
	case len(args) == 0:
	case len(args) == 2 && args[0] == "separator" && args[1] != "":
		c.Separator = args[1]
	case len(args) == 1 && args[0] != "separator":
		c.Form = args[0]
	default:
		return d.Err("header: behind the claim stands repeat, percent, base64, json or separator with a character, and then omit")
	}
	o.Headers = append(o.Headers, c)
	return nil
}

// parseIssuer reads an issuer that is not in this process. Syntax:
//
//	issuer <url> {
//	    <options of oauthissuer.TrustedIssuer…>
//	    introspection <url> { … }
//	    revocations from <store> …
//	    revocation_server  <name>
//	    revocation_max_age <duration>
//	}
func (o *Options) parseIssuer(d *caddyfile.Dispenser) error {
	t := new(Issuer)
	if err := adapt.One(d, &t.Issuer); err != nil {
		return err
	}
	for _, other := range o.Issuers {
		if other.Issuer == t.Issuer {
			return d.Errf("issuer %s is given twice", t.Issuer)
		}
	}
	o.Issuers = append(o.Issuers, t)
	block := *d // stays at the beginning of the block
	err := adapt.Block(d, func(option string) error { return t.parseOption(d, option) })
	if err != nil {
		return err
	}
	if err := t.CheckKeys(); err != nil {
		return block.Errf("issuer %s: %w", t.Issuer, err)
	}
	return adapt.Located(&block, checkAsked(o.Issuers))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
