package sites

import (
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// LeavesRequests reports whether a handler passes on requests as they are, as far as is known.
func LeavesRequests(handler caddyhttp.MiddlewareHandler) bool {
	if h, ok := handler.(*headers.Handler); ok {
		return h.Request == nil
	}
	return is(handler, "http.handlers.encode", "http.handlers.vars", "http.handlers.map", "http.handlers.templates", "http.handlers.tracing",
		"http.handlers.intercept", "http.handlers.log_append", "http.handlers.oauth_token", "http.handlers.oauth_resource_metadata")
}

// Answers reports whether a handler is known to pass on no request. A proxy does that asks whether
// it may, as forward_auth does.
func Answers(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *reverseproxy.Handler:
		return len(h.HandleResponse) == 0
	case *fileserver.FileServer:
		return !h.PassThru
	case *caddyhttp.StaticResponse: // a hint is no answer (RFC 8297), and a placeholder may be one
		status := h.StatusCode.String()
		return status != strconv.Itoa(http.StatusEarlyHints) && !strings.Contains(status, "{")
	}
	return is(handler, "http.handlers.error")
}

func is(handler caddyhttp.MiddlewareHandler, ids ...caddy.ModuleID) bool {
	module, ok := handler.(caddy.Module)
	return ok && slices.Contains(ids, module.CaddyModule().ID)
}

// All returns the handlers of a type in the routes of a server, whether requests come to them or
// not.
func All[H caddyhttp.MiddlewareHandler](server *caddyhttp.Server) iter.Seq[H] {
	return func(yield func(H) bool) {
		routes := server.Routes
		if server.Errors != nil {
			routes = slices.Concat(routes, server.Errors.Routes)
		}
		for _, route := range inner(server, routes) {
			for _, handler := range route.Handlers {
				if h, ok := handler.(H); ok && !yield(h) {
					return
				}
			}
		}
	}
}

// inner returns routes and those within their handlers.
func inner(server *caddyhttp.Server, routes caddyhttp.RouteList) (all []*caddyhttp.Route) {
	add := func(list caddyhttp.RouteList) {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	add(routes)
	for i := 0; i < len(all); i++ { // which grows
		for _, handler := range all[i].Handlers {
			switch h := handler.(type) {
			case *caddyhttp.Subroute:
				if add(h.Routes); h.Errors != nil {
					add(h.Errors.Routes)
				}
			case *caddyhttp.Invoke:
				if route := server.NamedRoutes[h.Name]; route != nil && !slices.Contains(all, route) {
					all = append(all, route)
				}
			}
		}
	}
	return all
}

// Unreached returns those of All that no request comes to, whatever the matchers say: others in
// front answer all of them.
func Unreached[H interface {
	comparable
	caddyhttp.MiddlewareHandler
}](server *caddyhttp.Server) []H {
	never := slices.Collect(All[H](server))
	complete := Any(server, func(handler caddyhttp.MiddlewareHandler, _ Way) Handlers {
		if h, ok := handler.(H); ok {
			never = slices.DeleteFunc(never, func(other H) bool { return other == h })
		}
		return nil
	})
	if !complete {
		return nil
	}
	return never
}
