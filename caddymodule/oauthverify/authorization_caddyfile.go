package oauthverify

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
)

// parseAuthorization reads what goes to the upstream in the place of the token. Syntax:
//
//	authorization strip
//	authorization keep
//	authorization token {
//	    audience <values…>
//	    ttl      <duration>
//	    claims   <names…>
//	    cache_entries <count>
//	}
//	authorization basic <user> <password>
//	authorization value <value> { send … }
//	authorization file  <path>  { send … }
//	authorization ask   <url> {
//	    header <name> <value>
//	    member <member>
//	    cache  <duration>
//	    cache_entries <count>
//	    addresses     <addresses…>
//	    insecure_http
//	    timeout       <duration>
//	    requests      <count>
//	    ca            <path>
//	}
//	authorization exchange <url> {
//	    client   <client_id> [<secret>]
//	    post_secret
//	    audience <values…>
//	    resource <URIs…>
//	    scope    <scope tokens…>
//	    subject_token_type <URI>
//	    assert   <url> {
//	        client <client_id> [<secret>]
//	        post_secret
//	    }
//	    … as for ask, from cache_entries on
//	}
//
// Each block but that of basic may also have send, where the credential goes:
//
//	send bearer|basic
//	send header <name> [<scheme>]
//	send cookie|query <name>
func (o *Options) parseAuthorization(d *caddyfile.Dispenser) error {
	o.Authorization = new(Authorization)
	a := o.Authorization
	if !d.NextArg() {
		return d.Err("authorization takes strip, keep, token, basic, value, file, ask or exchange")
	}
	kind, args := d.Val(), d.RemainingArgs()
	grammar, known := authorizations[kind]
	if !known {
		return d.Errf("authorization %s: it takes strip, keep, token, basic, value, file, ask or exchange", kind)
	}
	if len(args) != grammar.args || slices.Contains(args, "") {
		return d.Errf("authorization %s takes %s behind it", kind, [...]string{"no argument", "one argument", "a user and a password"}[grammar.args])
	}
	option := grammar.set(a, d, args)
	return adapt.Block(d, func(name string) error {
		if option == nil {
			return d.Errf("authorization %s has no options", kind)
		}
		if name == "send" {
			return a.parseSend(d)
		}
		return option(name)
	}, "header")
}

// authorizations are the ways to replace a token: how many arguments each takes, and what sets it
// and returns what reads the options of its block; nil: there are none.
var authorizations = map[string]struct {
	args int
	set  func(a *Authorization, d *caddyfile.Dispenser, args []string) func(option string) error
}{
	"strip": {0, func(*Authorization, *caddyfile.Dispenser, []string) func(string) error { return nil }},
	"keep": {0, func(a *Authorization, _ *caddyfile.Dispenser, _ []string) func(string) error {
		a.Keep = true
		return nil
	}},
	"token": {0, func(a *Authorization, d *caddyfile.Dispenser, _ []string) func(string) error {
		a.Token = new(MintedToken)
		return func(option string) error { return a.Token.parse(d, option) }
	}},
	"basic": {2, func(a *Authorization, _ *caddyfile.Dispenser, args []string) func(string) error {
		a.Basic = &BasicCredential{User: args[0], Password: args[1]}
		return nil
	}},
	"value": {1, func(a *Authorization, d *caddyfile.Dispenser, args []string) func(string) error {
		a.Value = args[0]
		return func(string) error { return adapt.Unknown(d) }
	}},
	"file": {1, func(a *Authorization, d *caddyfile.Dispenser, args []string) func(string) error {
		a.File = args[0]
		return func(string) error { return adapt.Unknown(d) }
	}},
	"ask": {1, func(a *Authorization, d *caddyfile.Dispenser, args []string) func(string) error {
		a.Ask = &AskedCredential{URL: args[0]}
		return func(option string) error { return a.Ask.parse(d, option) }
	}},
	"exchange": {1, func(a *Authorization, d *caddyfile.Dispenser, args []string) func(string) error {
		a.Exchange = &ExchangedToken{Endpoint: Endpoint{URL: args[0]}}
		return func(option string) error { return a.Exchange.parse(d, option) }
	}},
}

func (a *Authorization) parseSend(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 3 || slices.Contains(args, "") {
		return d.Err("send takes bearer, basic, or one of header, cookie and query with a name")
	}
	args = append(args, "", "")
	a.Send, a.Field, a.Scheme = args[0], args[1], args[2]
	return nil
}

func (t *MintedToken) parse(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "audience":
		return adapt.Audience(d, &t.Audience)
	case "ttl":
		return adapt.Duration(d, &t.TTL, upstream.CheckTTL)
	case "claims":
		return adapt.Some(d, &t.Claims)
	case "cache_entries":
		return adapt.Count(d, &t.CacheEntries)
	}
	return adapt.Unknown(d)
}

func (c *AskedCredential) parse(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "header":
		return remote.ParseField(d, &c.Header)
	case "member":
		return adapt.One(d, &c.Member)
	case "cache":
		return adapt.Duration(d, &c.Cache, upstream.CheckGood)
	case "cache_entries":
		return adapt.Count(d, &c.CacheEntries)
	}
	return c.Elsewhere.parse(d, option)
}

func (x *ExchangedToken) parse(d *caddyfile.Dispenser, option string) error {
	if known, err := x.Endpoint.parse(d, option); known {
		return err
	}
	switch option {
	case "audience":
		return adapt.Audience(d, &x.Audience)
	case "resource":
		return adapt.Some(d, &x.Resource)
	case "scope":
		return adapt.Some(d, &x.Scope, func(tokens []string) error { return adapt.CheckScope(tokens, adapt.Line("scope")) })
	case "subject_token_type":
		return adapt.One(d, &x.SubjectTokenType)
	case "assert":
		x.Assert = new(Endpoint)
		if err := adapt.One(d, &x.Assert.URL); err != nil {
			return err
		}
		return adapt.Block(d, func(option string) error {
			if known, err := x.Assert.parse(d, option); known {
				return err
			}
			return adapt.Unknown(d)
		})
	case "cache_entries":
		return adapt.Count(d, &x.CacheEntries)
	}
	return x.Elsewhere.parse(d, option)
}

func (e *Endpoint) parse(d *caddyfile.Dispenser, option string) (known bool, err error) {
	switch option {
	case "client":
		args := d.RemainingArgs()
		if len(args) == 0 || len(args) > 2 || slices.Contains(args, "") {
			return true, d.Err("client takes the client_id, and the secret if there is one")
		}
		e.ClientID = args[0]
		if len(args) == 2 {
			e.ClientSecret = args[1]
		}
		return true, nil
	case "post_secret":
		return true, adapt.Flag(d, &e.PostSecret)
	}
	return false, nil
}

func (e *Elsewhere) parse(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "addresses":
		return adapt.Addresses(d, &e.Addresses)
	case "insecure_http":
		return adapt.Flag(d, &e.InsecureHTTP)
	}
	known, err := e.ParseOption(d, option)
	if err == nil && !known {
		err = adapt.Unknown(d)
	}
	return err
}
