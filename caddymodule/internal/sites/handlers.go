package sites

import (
	"iter"
	"slices"

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
	return is(handler, "http.handlers.encode", "http.handlers.vars")
}

// Answers reports whether a handler is known to pass on no request. A proxy does that asks whether
// it may, as forward_auth does.
func Answers(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *reverseproxy.Handler:
		return len(h.HandleResponse) == 0
	case *fileserver.FileServer:
		return !h.PassThru
	}
	return is(handler, "http.handlers.static_response", "http.handlers.error")
}

func is(handler caddyhttp.MiddlewareHandler, ids ...caddy.ModuleID) bool {
	module, ok := handler.(caddy.Module)
	return ok && slices.Contains(ids, module.CaddyModule().ID)
}

// All returns the handlers in the routes of a server, whether requests come to them or not.
func All(server *caddyhttp.Server) iter.Seq[caddyhttp.MiddlewareHandler] {
	return func(yield func(caddyhttp.MiddlewareHandler) bool) {
		lists := []caddyhttp.RouteList{server.Routes}
		if server.Errors != nil {
			lists = append(lists, server.Errors.Routes)
		}
		for _, route := range server.NamedRoutes {
			lists = append(lists, caddyhttp.RouteList{*route})
		}
		for len(lists) > 0 {
			list := lists[0]
			lists = lists[1:]
			for i := range list {
				for _, handler := range list[i].Handlers {
					if sub, ok := handler.(*caddyhttp.Subroute); ok {
						lists = append(lists, sub.Routes)
						if sub.Errors != nil {
							lists = append(lists, sub.Errors.Routes)
						}
					}
					if !yield(handler) {
						return
					}
				}
			}
		}
	}
}
