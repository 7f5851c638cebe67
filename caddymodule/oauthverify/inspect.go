package oauthverify

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/tokenep/caddy-tokenep/verify"
)

var (
	errNoServer = errors.New("no HTTP server is configured")
	errNoKeys   = errors.New("the route trusts an oauth_server that has not started, and its keys are not known: ask the Caddy that runs")
	errNoRoute  = errors.New("no route with oauth_verify sees such a request")
)

// Inspect says, check by check, what the first oauth_verify that sees a request would make of it
// with that token. It finds the route as Caddy does, by the matchers of all servers; of the
// handlers on the way none runs but rewrites. r has an absolute URL and a RemoteAddr.
func (a *App) Inspect(r *http.Request, token string) (*verify.Token, []verify.Check, error) {
	loaded, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, nil, errNoServer
	}
	servers := loaded.(*caddyhttp.App).Servers
	if r.URL.Scheme == "https" {
		r.TLS = new(tls.ConnectionState)
	}
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		repl := caddy.NewReplacer()
		asked := caddyhttp.PrepareRequest(r.Clone(r.Context()), repl, nil, servers[name])
		asked.URL.Scheme, asked.URL.Host = "", "" // as a server has it
		h, err := find(servers[name].Routes, asked, repl)
		if err != nil {
			return nil, nil, err
		}
		if h != nil {
			if h.server != nil {
				atOnce, cancel := context.WithCancel(r.Context())
				cancel()
				if h.server.Ready(atOnce) != nil {
					return nil, nil, errNoKeys
				}
			}
			found, checks := h.guard.Inspect(asked, token)
			return found, checks, nil
		}
	}
	return nil, nil, errNoRoute
}

// provider returns the first provider of this module that authentication has, or nil.
func provider(providers map[string]caddyauth.Authenticator) *Handler {
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		if p, ok := providers[name].(*Authentication); ok {
			return &p.Handler
		}
	}
	return nil
}

// find returns the first handler of this module that r comes to, or nil.
func find(routes caddyhttp.RouteList, r *http.Request, repl *caddy.Replacer) (*Handler, error) {
	groups := make(map[string]bool)
	for _, route := range routes {
		if route.Group != "" && groups[route.Group] {
			continue
		}
		matches, err := route.MatcherSets.AnyMatchWithError(r)
		if err != nil {
			return nil, err
		}
		if !matches {
			continue
		}
		groups[route.Group] = true
		for _, handler := range route.Handlers {
			if h, err := findIn(handler, r, repl); h != nil || err != nil {
				return h, err
			}
		}
		if route.Terminal {
			break
		}
	}
	return nil, nil //nolint:nilnil // there is none, which is no error
}

// findIn returns what r comes to in a handler of a route, or nil, and rewrites r if that does.
func findIn(handler caddyhttp.MiddlewareHandler, r *http.Request, repl *caddy.Replacer) (*Handler, error) {
	switch handler := handler.(type) {
	case *Handler:
		return handler, nil
	case *caddyauth.Authentication:
		return provider(handler.Providers), nil
	case *caddyhttp.Subroute:
		return find(handler.Routes, r, repl)
	case *rewrite.Rewrite:
		handler.Rewrite(r, repl)
	}
	return nil, nil //nolint:nilnil // likewise
}
