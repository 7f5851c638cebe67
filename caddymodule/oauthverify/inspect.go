package oauthverify

import (
	"cmp"
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
	errTakenOff = errors.New("another oauth_verify sees the request behind this one, which removes the token: " +
		"put each into a handle of its own, or write authorization keep in the first")
)

// Inspect says, check by check, what the first oauth_verify that sees a request would make of it
// with that token. It finds the route as Caddy does, by the matchers of all servers; of the
// handlers on the way none runs but rewrites. A second one behind it fails a check, where it would
// find no token. r has an absolute URL and a RemoteAddr.
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
		var h *Handler
		asked, err := walk(servers[name], r, func(handler caddyhttp.MiddlewareHandler) bool {
			h = guardOf(handler)
			return h != nil
		})
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
			again, err := h.followed(servers[name], r)
			if again {
				checks = append(checks, verify.Check{Name: "second oauth_verify", Err: errTakenOff})
			}
			return found, checks, err
		}
	}
	return nil, nil, errNoRoute
}

// followed reports whether a request comes to an oauth_verify behind h that needs the token, which
// h removes. It looks no further than a handler that answers.
func (h *Handler) followed(server *caddyhttp.Server, r *http.Request) (needed bool, err error) {
	if h.guard.KeepAuthorization || h.guard.Replace != nil {
		return false, nil
	}
	passed := false
	_, err = walk(server, r, func(handler caddyhttp.MiddlewareHandler) bool {
		next := guardOf(handler)
		switch {
		case next == h:
			passed = true
		case passed && next != nil && !next.guard.Optional:
			needed = true
		}
		return needed || passed && answers(handler)
	})
	return needed, err
}

// answers reports whether nothing that stands behind a handler sees a request, as far as is known.
func answers(handler caddyhttp.MiddlewareHandler) bool {
	module, ok := handler.(caddy.Module)
	return ok && slices.Contains([]caddy.ModuleID{
		"http.handlers.static_response", "http.handlers.reverse_proxy", "http.handlers.file_server", "http.handlers.error",
	}, module.CaddyModule().ID)
}

// guardOf returns what a handler asks about tokens: itself, or the first provider of this module
// that authentication has; nil: nothing.
func guardOf(handler caddyhttp.MiddlewareHandler) *Handler {
	switch handler := handler.(type) {
	case *Handler:
		return handler
	case *caddyauth.Authentication:
		for _, name := range slices.Sorted(maps.Keys(handler.Providers)) {
			if p, ok := handler.Providers[name].(*Authentication); ok {
				return &p.Handler
			}
		}
	}
	return nil
}

// walk shows the handlers that a request comes to at a server, until one is the right one, and
// returns the request as that sees it.
func walk(server *caddyhttp.Server, r *http.Request, right func(caddyhttp.MiddlewareHandler) bool) (*http.Request, error) {
	repl := caddy.NewReplacer()
	asked := r.Clone(r.Context())
	asked.URL.Path = cmp.Or(asked.URL.Path, "/") // as clients send it (RFC 9112 §3.2.1)
	asked = caddyhttp.PrepareRequest(asked, repl, nil, server)
	asked.URL.Scheme, asked.URL.Host = "", "" // as a server has it
	_, err := find(server.Routes, asked, repl, right)
	return asked, err
}

// find reports whether r comes to a handler that is the right one.
func find(routes caddyhttp.RouteList, r *http.Request, repl *caddy.Replacer, right func(caddyhttp.MiddlewareHandler) bool) (bool, error) {
	groups := make(map[string]bool)
	for _, route := range routes {
		if route.Group != "" && groups[route.Group] {
			continue
		}
		matches, err := route.MatcherSets.AnyMatchWithError(r)
		if err != nil {
			return false, err
		}
		if !matches {
			continue
		}
		groups[route.Group] = true
		for _, handler := range route.Handlers {
			if found, err := findIn(handler, r, repl, right); found || err != nil {
				return found, err
			}
		}
		if route.Terminal {
			break
		}
	}
	return false, nil
}

// findIn does so for a handler of a route, and rewrites r if that does.
func findIn(handler caddyhttp.MiddlewareHandler, r *http.Request, repl *caddy.Replacer, right func(caddyhttp.MiddlewareHandler) bool) (bool, error) {
	if right(handler) {
		return true, nil
	}
	switch handler := handler.(type) {
	case *rewrite.Rewrite:
		handler.Rewrite(r, repl)
	case *caddyhttp.Subroute:
		return find(handler.Routes, r, repl, right)
	case *caddyhttp.Invoke:
		server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		if route := server.NamedRoutes[handler.Name]; route != nil {
			return find(caddyhttp.RouteList{*route}, r, repl, right)
		}
	}
	return false, nil
}
