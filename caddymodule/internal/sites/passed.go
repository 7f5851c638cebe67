package sites

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
)

// Handlers are handlers that every request which comes to a place has passed before, in order.
type Handlers []caddyhttp.MiddlewareHandler

// Passed shows each handler that is in the routes of an HTTP server, once for each place from which
// requests come to it, with those of before; next returns those of behind. Of a matcher it is not
// known whether a request matches.
func Passed(server *caddyhttp.Server, next func(caddyhttp.MiddlewareHandler, Handlers) Handlers) {
	p := &passing{server: server, next: next}
	p.routes(server.Routes, nil)
	if server.Errors != nil {
		p.routes(server.Errors.Routes, nil)
	}
}

// passing is a walk over the routes of a server.
type passing struct {
	server  *caddyhttp.Server
	next    func(caddyhttp.MiddlewareHandler, Handlers) Handlers
	invoked []string // named routes, within one another
}

// meeting is what all requests have passed that come together from several ways.
type meeting struct {
	passed Handlers
	some   bool // there is a way
}

func (m *meeting) join(way Handlers) {
	if m.some {
		elsewhere := func(h caddyhttp.MiddlewareHandler) bool { return !slices.Contains(way, h) }
		way = slices.DeleteFunc(slices.Clone(m.passed), elsewhere)
	}
	m.passed, m.some = way, true
}

// routes returns what requests have passed behind the routes. Of neighbours in one group a request
// comes to one at most.
func (p *passing) routes(list caddyhttp.RouteList, before Handlers) Handlers {
	now, ended := meeting{before, true}, meeting{}
	var met []string // groups, a route of which some requests have come to
	for i := 0; i < len(list) && now.some; {
		behind, others, first := meeting{}, true, i
		for ; i < len(list) && (i == first || list[i].Group != "" && list[i].Group == list[first].Group); i++ {
			if !others {
				continue
			}
			way := p.handlers(list[i].Handlers, now.passed)
			if list[i].Terminal {
				ended.join(way)
			} else {
				behind.join(way)
			}
			others = len(list[i].MatcherSets) > 0 || slices.Contains(met, list[i].Group)
		}
		if list[first].Group != "" {
			met = append(met, list[first].Group)
		}
		if others {
			behind.join(now.passed)
		}
		now = behind
	}
	if now.some {
		ended.join(now.passed)
	}
	return ended.passed
}

func (p *passing) handlers(list []caddyhttp.MiddlewareHandler, passed Handlers) Handlers {
	for _, handler := range list {
		switch handler := handler.(type) {
		case *caddyhttp.Subroute:
			if handler.Errors != nil {
				p.routes(handler.Errors.Routes, nil)
			}
			passed = p.routes(handler.Routes, passed)
		case *caddyhttp.Invoke: // from other places too
			if route := p.server.NamedRoutes[handler.Name]; route != nil && !slices.Contains(p.invoked, handler.Name) {
				p.invoked = append(p.invoked, handler.Name)
				p.routes(caddyhttp.RouteList{*route}, nil)
				p.invoked = p.invoked[:len(p.invoked)-1]
			}
			passed = nil
		default:
			passed = p.next(handler, passed)
		}
	}
	return passed
}

// LeavesRequests reports whether a handler passes on requests as they are, as far as is known.
func LeavesRequests(handler caddyhttp.MiddlewareHandler) bool {
	if h, ok := handler.(*headers.Handler); ok {
		return h.Request == nil
	}
	module, ok := handler.(caddy.Module)
	return ok && slices.Contains([]caddy.ModuleID{"http.handlers.encode", "http.handlers.vars"}, module.CaddyModule().ID)
}
