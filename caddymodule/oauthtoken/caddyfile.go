package oauthtoken

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func parse(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	line := *helper.Dispenser // stays at the beginning
	places := adapt.PlacesIn(helper.Dispenser)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	line.Next()
	places.Remember(h, &helper)
	server, err := oauthserver.Adapted(helper.Option("oauth_server"), h.Server)
	if errors.Is(err, caddy.ErrNotConfigured) {
		adapt.Warn(&line, "there is no global option oauth_server, and this oauth_token would serve one: it will not load")
	} else if err != nil {
		return nil, line.WrapErr(err)
	}
	if server != nil && server.HasExtensions() {
		return h, nil
	}
	return h, h.unknownEndpoint
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	oauth_token [<matcher>] {
//	    server <name>
//	    token_endpoint <paths…> {
//	        dialect             iceberg | phrase | telnyx
//	        json
//	        subject_token_type  <urn>
//	        subject_token_error invalid_request | invalid_grant
//	        ignore              <parameters…>
//	        default_scope       <scope tokens…>
//	        renew               [<how long expired>]
//	        bearer_client
//	        basic_errors
//	        invalid_client_status 400 | 401
//	    }
//	    path <endpoint> <paths…>
//	    passthrough
//	}
//
// token_endpoint may be repeated; its options hold for all the paths of its line. dialect is short
// for the options that clients of one system need, and is adapted to them. path moves any
// other endpoint, by its name, such as jwks or metadata; an unknown name is refused.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("oauth_token takes no argument; name the server in its block")
	}
	return adapt.Block(d, func(option string) error {
		line := *d // stays where the option is
		if err := h.parseOption(d, option); err != nil {
			return err
		}
		if err := h.checkLists(); err != nil {
			return adapt.Located(&line, err)
		}
		return adapt.Located(&line, h.literal().Validate())
	}, "token_endpoint", "path")
}

func (h *Handler) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "server":
		return adapt.One(d, &h.Server)
	case "token_endpoint":
		return h.parseTokenEndpoint(d)
	case "path":
		return h.parsePath(d)
	case "passthrough":
		return adapt.Flag(d, &h.Passthrough)
	default:
		return adapt.Unknown(d)
	}
}

// literal returns the paths that are known without resolving placeholders.
func (h *Handler) literal() server.Paths {
	p := server.Paths{Moved: make(map[string][]string, len(h.Paths))}
	for _, t := range h.TokenEndpoints {
		if adapt.IsLiteral(t.Path) {
			p.Token = append(p.Token, server.TokenPath{Path: t.Path})
		}
	}
	for name, paths := range h.Paths {
		p.Moved[name] = adapt.Literals(paths)
	}
	return p
}

// parsePath reads where an endpoint is. One that is not in the library may be that of a plugin.
func (h *Handler) parsePath(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || slices.Contains(args, "") {
		return d.Err("path takes the name of an endpoint, and one or more paths")
	}
	name := args[0]
	switch known := endpoint.Names(); {
	case name == tokenep.TokenEndpointName:
		return d.Err("path does not move the token endpoint; token_endpoint does")
	case h.Paths[name] != nil:
		return d.Errf("path %s is given twice", name)
	case !slices.Contains(known, name) && h.unknownEndpoint == nil:
		h.unknownEndpoint = d.Errf("there is no endpoint %q; expected %s", name, strings.Join(known, ", "))
	}
	if h.Paths == nil {
		h.Paths = make(map[string][]string)
	}
	h.Paths[name] = args[1:]
	return nil
}

func (h *Handler) parseTokenEndpoint(d *caddyfile.Dispenser) error {
	var paths []string
	if err := adapt.Some(d, &paths); err != nil {
		return err
	}
	var t TokenEndpoint
	err := adapt.Block(d, func(option string) error {
		line := *d // stays where the option is
		if err := t.parseOption(d, option); err != nil {
			return err
		}
		_, err := t.dialect()
		return adapt.Located(&line, err)
	})
	for _, t.Path = range paths {
		h.TokenEndpoints = append(h.TokenEndpoints, t)
	}
	return err
}

func (t *TokenEndpoint) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "dialect":
		return t.parseDialect(d)
	case "json":
		return adapt.Flag(d, &t.JSON)
	case "subject_token_type":
		return adapt.One(d, &t.SubjectTokenType)
	case "subject_token_error":
		return adapt.Choice(d, &t.SubjectTokenError, string(tokenep.InvalidRequest), string(tokenep.InvalidGrant))
	case "ignore":
		return adapt.Some(d, &t.Ignore)
	case "default_scope":
		return adapt.Some(d, &t.DefaultScope)
	case "renew":
		return t.parseRenew(d)
	case "bearer_client":
		return adapt.Flag(d, &t.BearerClient)
	case "basic_errors":
		return adapt.Flag(d, &t.BasicErrors)
	case "invalid_client_status":
		return adapt.Count(d, &t.InvalidClientStatus)
	default:
		return adapt.Unknown(d)
	}
}

// parseDialect reads "dialect <name>", which writes the settings of that dialect. Lines that follow
// replace them one by one.
func (t *TokenEndpoint) parseDialect(d *caddyfile.Dispenser) error {
	if !reflect.ValueOf(*t).IsZero() {
		return d.Err("dialect comes first: the lines that follow replace its settings")
	}
	name := ""
	if err := adapt.Choice(d, &name, slices.Sorted(maps.Keys(dialects))...); err != nil {
		return err
	}
	*t = dialects[name]
	return nil
}

// parseRenew reads "renew [<expired>]".
func (t *TokenEndpoint) parseRenew(d *caddyfile.Dispenser) error {
	t.Renew, t.RenewExpired = true, 0
	if d.CountRemainingArgs() == 0 {
		return nil
	}
	return adapt.Duration(d, &t.RenewExpired)
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
