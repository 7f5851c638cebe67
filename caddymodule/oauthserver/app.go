package oauthserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// App holds the OAuth 2.0 authorization servers of this process. Each is an issuer with its own
// keys, clients and store.
//
// The handlers oauth_token and oauth_verify refer to a server by its name; without a name they mean
// "default".
type App struct {
	// The servers by name. Names are made of lower-case letters, digits, "-" and "_". Required.
	Servers map[string]*AuthorizationServer `json:"servers,omitempty"`

	ctx     caddy.Context
	settled chan struct{} // closed when Start returns
	failure error         // the error of Start; read it only after settled is closed

	mu      sync.Mutex
	mounted []*server.Routes                // of every oauth_token handler that is provisioned
	checks  map[string]func(*caddyhttp.App) // of all sites, by server
	checked sites.Checked
}

func init() {
	caddy.RegisterModule(new(App))
	httpcaddyfile.RegisterGlobalOption("oauth_server", parseServer)
}

// DefaultName is the name of a server that is configured without one.
const DefaultName = "default"

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up the servers. It opens, generates and writes nothing: Start does.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.settled, a.checks = ctx, make(chan struct{}), make(map[string]func(*caddyhttp.App))
	a.checked = sites.Check(ctx, a.checkSites)
	if err := RegisterMetrics(ctx, tokenRequests, tokenDuration, endpointRequests, endpointDuration, storeErrors, pagesShown); err != nil {
		return err
	}
	stores, issuers := make(map[string]string, len(a.Servers)), make(map[string]string, len(a.Servers))
	for _, name := range slices.Sorted(maps.Keys(a.Servers)) {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("server %q: %w", name, err)
		}
		s := a.Servers[name]
		if s == nil {
			return fmt.Errorf("server %q: the configuration must not be null", name)
		}
		s.places = adapt.PlacesOf(ctx, s)
		if err := s.provision(ctx, a, name); err != nil {
			return fmt.Errorf("server %q: %w", name, s.places.Locate(err))
		}
		if other, taken := stores[s.poolKey]; taken {
			return s.places.Locate(adapt.Of("store", fmt.Errorf("servers %q and %q have the same store; each needs its own", other, name)))
		}
		stores[s.poolKey] = name
		config := &s.core.Config
		if other, taken := issuers[config.Issuer]; taken { // RFC 8414 §2
			s.places.Logger(config.Logger).Warn("two servers have the same issuer: clients and APIs take the keys of one for those of the other; "+
				"give each a URL of its own, such as a path on that host", "other", other, "issuer", config.Issuer)
		}
		issuers[config.Issuer] = name
	}
	return nil
}

// Start opens the stores and loads the signing keys, and generates the first ones where there are
// none.
func (a *App) Start() error {
	defer close(a.settled)
	for _, name := range slices.Sorted(maps.Keys(a.Servers)) {
		if err := a.Servers[name].start(a.ctx); err != nil {
			a.failure = fmt.Errorf("server %q: %w", name, a.Servers[name].places.Locate(err))
			return a.failure
		}
	}
	a.checked.Start()
	return nil
}

// checkSites warns of what is wrong with the sites, server by server.
func (a *App) checkSites(http *caddyhttp.App) {
	for _, name := range slices.Sorted(maps.Keys(a.checks)) {
		a.checks[name](http)
	}
}

// ready returns when Start has returned, or never will. Caddy starts its apps in no particular
// order, so requests may come before Start, even to a configuration that fails to start. They must
// not wait for ever, since Caddy waits for them in turn.
func (a *App) ready(ctx context.Context) error {
	select {
	case <-a.settled: //  nearly always; then it does not matter whether ctx is done
		return a.failure
	default:
	}
	select {
	case <-a.settled:
		return a.failure
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stop does nothing. What runs in the background ends with the context, and Cleanup closes the
// stores.
func (*App) Stop() error { return nil }

// Cleanup releases the stores. They close unless a newer configuration uses them too.
func (a *App) Cleanup() error {
	a.checked.Cleanup()
	var first error
	for _, s := range a.Servers {
		if s == nil {
			continue
		}
		if err := s.cleanup(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Server returns a server by its name; "" is the default one.
func (a *App) Server(name string) (*AuthorizationServer, error) {
	if name == "" {
		name = DefaultName
	}
	s := a.Servers[name]
	if s == nil {
		return nil, fmt.Errorf("there is no oauth_server %q; configured are %q", name, slices.Sorted(maps.Keys(a.Servers)))
	}
	return s, nil
}

// Adapted is Lookup while a Caddyfile is read; option is the global option oauth_server as
// httpcaddyfile.Helper returns it.
func Adapted(option any, name string) (*AuthorizationServer, error) {
	read, ok := option.(httpcaddyfile.App)
	if !ok {
		return nil, missing(caddy.ErrNotConfigured)
	}
	var app App
	if err := json.Unmarshal(read.Value, &app); err != nil {
		return nil, err
	}
	return app.Server(name)
}

// Lookup returns a server for a handler that is being provisioned. The error wraps
// caddy.ErrNotConfigured where there is no oauth_server at all.
func Lookup(ctx caddy.Context, name string) (*AuthorizationServer, error) {
	app, err := ctx.AppIfConfigured("oauth_server")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, missing(err)
	}
	if err != nil {
		return nil, adapt.Elsewhere(fmt.Errorf("the global option oauth_server: %w", err))
	}
	return app.(*App).Server(name)
}

func missing(err error) error {
	return fmt.Errorf("the global option oauth_server is missing, which configures an issuer: %w", err)
}

// Issuers returns the servers of this process by their issuers.
func Issuers(ctx caddy.Context) map[string]*AuthorizationServer {
	app, err := ctx.AppIfConfigured("oauth_server")
	if err != nil {
		return nil
	}
	issuers := make(map[string]*AuthorizationServer)
	for _, s := range app.(*App).Servers {
		issuers[s.Server().Config.Issuer] = s
	}
	return issuers
}

// Mount returns the routes of the server for a handler that is being provisioned. The check of the
// last one of them is called when all sites are provisioned.
func (s *AuthorizationServer) Mount(p server.Paths, check func(*caddyhttp.App)) (*server.Routes, error) {
	routes, err := s.core.Mount(p)
	if err == nil {
		s.app.mu.Lock()
		defer s.app.mu.Unlock()
		s.app.mounted = append(s.app.mounted, routes)
		s.app.checks[s.name] = check
	}
	return routes, err
}

// Elsewhere reports whether another handler has an endpoint at the path: that of another server, or
// of this one at other paths. A folder that routes close is open for it.
func (s *AuthorizationServer) Elsewhere(path string, routes *server.Routes) bool {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	return slices.ContainsFunc(s.app.mounted, func(other *server.Routes) bool { return other != routes && other.Has(path) })
}

// CheckName returns an error if a name cannot be that of a server. Names become part of file names
// and of keys in the store.
func CheckName(name string) error {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return errName
		}
	}
	if name == "" || len(name) > 64 {
		return errName
	}
	return nil
}

var errName = errors.New("a name must have 1 to 64 lower-case letters, digits, - and _")

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
