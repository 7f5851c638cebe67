package oauthverify

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
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
		var asked *http.Request
		err := sites.Find(servers[name], r, func(handler caddyhttp.MiddlewareHandler, r *http.Request) bool {
			h, asked = guardOf(handler), r
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
	err = sites.Find(server, r, func(handler caddyhttp.MiddlewareHandler, _ *http.Request) bool {
		next := guardOf(handler)
		switch {
		case next == h:
			passed = true
		case passed && next != nil && !next.guard.Optional:
			needed = true
		}
		return needed
	})
	return needed, err
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
