package oauthverify

import (
	"encoding/json"
	"regexp"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

var policyName = regexp.MustCompile(`^[a-z0-9_-]+$`)

// parsePolicy reads the global option oauth_verify, which may be repeated with another name.
// Syntax:
//
//	oauth_verify <policy> {
//	    <options of the directive oauth_verify…>
//	}
func parsePolicy(d *caddyfile.Dispenser, existing any) (any, error) {
	app, err := adaptedApp(existing)
	if err != nil {
		return nil, err
	}
	d.Next() // consume option name
	if !d.NextArg() {
		return nil, d.Err("oauth_verify takes one argument here, the name of a policy")
	}
	name := d.Val()
	switch {
	case d.NextArg():
		return nil, d.Err("oauth_verify takes one argument here, the name of a policy")
	case !policyName.MatchString(name):
		return nil, d.Errf("policy %q: a name is made of lower-case letters, digits, - and _", name)
	case app.Policies[name] != nil:
		return nil, d.Errf("policy %s is given twice", name)
	}
	policy := new(Options)
	if err := policy.parse(d, nil); err != nil {
		return nil, err
	}
	app.Policies[name] = policy
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(app, nil)}, nil
}

// adaptedApp returns the app as the global options have it so far.
func adaptedApp(option any) (*App, error) {
	app := &App{Policies: make(map[string]*Options)}
	if earlier, ok := option.(httpcaddyfile.App); ok {
		return app, json.Unmarshal(earlier.Value, app)
	}
	return app, nil
}
