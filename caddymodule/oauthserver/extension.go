package oauthserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// Extension is what a module of the namespaces oauth_server.grants, oauth_server.users and
// oauth_server.subjects implements: a grant that another plugin brings, a place where people and
// their passwords are known, or one that tokens come from which others have issued.
type Extension interface {
	// Extend adds what the module brings to the configuration of the library's server. It is called
	// in Provision, also for "caddy validate", and must not write anything. Store and Memory are
	// set; the store opens when the app starts.
	Extend(c *server.Config) error
}

const grantNamespace = "oauth_server.grants"

// HasExtensions reports whether the server has grants of other plugins. Without any, all endpoints
// are known while a Caddyfile is read.
func (s *AuthorizationServer) HasExtensions() bool { return s.GrantsRaw != nil }

// parseGrant reads a grant of another plugin. Syntax:
//
//	grant <module> …
//
// The module reads what follows its name.
func (s *AuthorizationServer) parseGrant(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("grant takes the name of a module of the namespace " + grantNamespace)
	}
	name := d.Val()
	if s.GrantsRaw[name] != nil {
		return d.Errf("grant %s is given twice", name)
	}
	module, err := adapt.Module(d, grantNamespace, name)
	if err != nil {
		return err
	}
	if s.GrantsRaw == nil {
		s.GrantsRaw = make(caddy.ModuleMap)
	}
	s.GrantsRaw[name] = caddyconfig.JSON(module, nil)
	return nil
}

// addModule loads a module that has a block of its own, and has it add to the configuration. Errors
// and warnings name the lines of that block.
func addModule(ctx caddy.Context, c *server.Config, raw json.RawMessage, load func(caddy.Context) (any, error)) error {
	places, logger := adapt.PlacesOf(ctx, raw), c.Logger
	c.Logger = places.Logger(logger)
	defer func() { c.Logger = logger }()
	loaded, err := load(places.In(ctx))
	if err == nil {
		extension, ok := loaded.(Extension)
		if !ok {
			return fmt.Errorf("%T does not implement oauthserver.Extension", loaded)
		}
		err = extension.Extend(c)
	}
	if err != nil && places != nil {
		return adapt.Elsewhere(places.Locate(err))
	}
	return err
}

// extend loads the users, and the grants that other plugins bring, and has them add to the
// configuration.
func (s *AuthorizationServer) extend(ctx caddy.Context, c *server.Config) error {
	if err := s.addUsers(ctx, c); err != nil {
		return err
	}
	if err := s.addSubjects(ctx, c); err != nil {
		return err
	}
	warnClients(c.Logger, c, time.Now())
	warnPolicies(c.Logger, c)
	if s.GrantsRaw == nil {
		return nil
	}
	value, err := ctx.LoadModule(s, "GrantsRaw")
	if err != nil {
		return fmt.Errorf("loading the grants: %w", err)
	}
	loaded := value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(loaded)) {
		extension, ok := loaded[name].(Extension)
		if !ok {
			return fmt.Errorf("grant %s: %T does not implement oauthserver.Extension", name, loaded[name])
		}
		if err := extension.Extend(c); err != nil {
			return fmt.Errorf("grant %s: %w", name, err)
		}
	}
	return nil
}
