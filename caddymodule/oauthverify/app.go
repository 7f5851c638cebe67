package oauthverify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
)

// App has what routes of oauth_verify share.
type App struct {
	// Options by the name of a policy. A route that names one has its options, but for those that
	// the route gives itself: these take the place of the policy's, whole, also where they are
	// false, 0, empty or null. Default: none.
	Policies map[string]*Options `json:"policies,omitempty"`

	resources map[string][]*resource // by the path of their metadata
	reaches   []reach
	ctx       caddy.Context
	checked   sites.Checked
}

// appName is the name of the app.
const appName = "oauth_verify"

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appName, New: func() caddy.Module { return new(App) }}
}

// Provision keeps the context, by which Inspect finds the routes.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.checked = ctx, sites.Check(ctx, a.checkSites)
	return nil
}

// Validate checks the policies, also those that no route has.
func (a *App) Validate() error {
	for _, name := range slices.Sorted(maps.Keys(a.Policies)) {
		if a.Policies[name] == nil {
			return fmt.Errorf("policy %q: it must not be null", name)
		}
		if err := a.Policies[name].check(); err != nil {
			return fmt.Errorf("policy %q: %w", name, err)
		}
	}
	return nil
}

// Start checks the sites. The work is that of the handlers.
func (a *App) Start() error {
	a.checked.Start()
	return nil
}

// checkSites warns of resources whose metadata nobody can get, and of routes that protect nothing,
// or let nobody in.
func (a *App) checkSites(http *caddyhttp.App) {
	for _, r := range a.reaches {
		r.warnOfReach()
	}
	for _, s := range http.Servers {
		warnOfUnreached(s)
		warnOfExcluded(s)
		warnOfRefused(s)
		warnOfBelow(s)
		warnOfBehind(a.ctx, s)
	}
	for _, path := range slices.Sorted(maps.Keys(a.resources)) {
		for _, s := range a.resources[path] {
			warnOfUnserved(http, s)
		}
	}
}

// Stop does nothing.
func (*App) Stop() error { return nil }

// Cleanup checks the sites of a configuration that is only validated.
func (a *App) Cleanup() error {
	a.checked.Cleanup()
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
