package sites

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// Handlers are handlers that requests pass, in order.
type Handlers []caddyhttp.MiddlewareHandler

// Way is how requests come to a handler.
type Way struct {
	Request *http.Request // as it is there; nil: any
	Passed  Handlers      // what all of them have passed before

	route *caddyhttp.Route // of the handler
	met   []string         // groups of routes, one of which they have come to
	share float64          // of all such requests
}

// Certain reports whether all requests for that URL come this way, if there is one.
func (way Way) Certain() bool { return way.Request == nil || way.share == 1 }

// ByPath reports whether a path alone leads to the handler, or several do, on its route.
func (way Way) ByPath() bool { return byPath(way.route) }

func byPath(route *caddyhttp.Route) bool {
	sets := route.MatcherSets
	if len(sets) != 1 || len(sets[0]) != 1 {
		return false
	}
	_, path := sets[0][0].(*caddyhttp.MatchPath)
	return path
}

// Visitor is shown a handler, for each way to it, and returns what requests have passed behind it.
type Visitor func(handler caddyhttp.MiddlewareHandler, way Way) Handlers

// Any follows all requests that a server may get, also to the routes of its errors. Of a matcher it
// is not known whether a request matches. It reports whether all ways were followed: there may be
// too many.
func Any(server *caddyhttp.Server, visit Visitor) (complete bool) {
	return AnyMatched(server, visit, nil)
}

// AnyMatched is Any. It shows the matchers of each route as well, for each way to them.
func AnyMatched(server *caddyhttp.Server, visit Visitor, match func(caddyhttp.MatcherSets, Way)) (complete bool) {
	w := &walk{server: server, visit: visit, match: match, most: maxWays}
	w.routes(server.Routes, []Way{{share: 1}})
	if server.Errors != nil {
		w.routes(server.Errors.Routes, []Way{{share: 1}})
	}
	return !w.cut
}

// Asked follows the requests that a server may get for a URL, which is absolute. Of matchers of
// anything but a host or a path it is not known whether they match. It reports whether all ways
// were followed.
func Asked(server *caddyhttp.Server, r *http.Request, visit Visitor) (complete bool) {
	w := &walk{server: server, visit: visit, most: maxWaysOfURL, repl: caddy.NewReplacer()}
	w.routes(server.Routes, []Way{{Request: w.prepared(r), share: 1}})
	return !w.cut
}

// Find follows one request through the routes of a server, by all their matchers, until a handler
// is the right one. The error is that of a matcher. Of handlers none runs but rewrites.
func Find(server *caddyhttp.Server, r *http.Request, right func(caddyhttp.MiddlewareHandler, *http.Request) bool) error {
	w := &walk{server: server, exact: true, most: 1, repl: caddy.NewReplacer()}
	w.visit = func(handler caddyhttp.MiddlewareHandler, way Way) Handlers {
		w.stopped = w.stopped || right(handler, way.Request)
		return nil
	}
	w.routes(server.Routes, []Way{{Request: w.prepared(r), share: 1}})
	return w.err
}

// walk follows requests through the routes of a server.
type walk struct {
	server  *caddyhttp.Server
	visit   Visitor
	match   func(caddyhttp.MatcherSets, Way) // nil: nobody asks
	repl    *caddy.Replacer
	shown   *http.Request // what the placeholders are of
	invoked []string      // named routes, within one another

	most           int  // ways at a route
	cut            bool // there were more
	exact, stopped bool // see Find; or it is cut, and of a URL no way is certain any more
	err            error
}

// Bounds of how many ways are followed at a route, by all requests and by those for one of many
// URLs, which rewrites make others of.
const (
	maxWays      = 256
	maxWaysOfURL = 8
)

// prepared returns a request as a server has it.
func (w *walk) prepared(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.URL.Path = cmp.Or(r.URL.Path, "/") // as clients send it (RFC 9112 §3.2.1)
	r = caddyhttp.PrepareRequest(r, w.repl, nil, w.server)
	r.URL.Scheme, r.URL.Host = "", ""
	asked := *r
	w.shown = r
	return &asked
}

// show has the placeholders be those of a request, which rewrites have made of another one.
func (w *walk) show(r *http.Request) {
	if r != nil {
		*w.shown = *r
	}
}

// routes returns the ways behind the routes. Behind a terminal one there are none.
func (w *walk) routes(list caddyhttp.RouteList, now []Way) []Way {
	for i := range list {
		then, came := w.behind(&list[i], now)
		if w.stopped {
			return nil
		}
		if !came {
			continue
		}
		if now = joined(then, list[i+1:]); len(now) > w.most {
			w.cut, now = true, now[:w.most]
			w.stopped = w.repl != nil
		}
	}
	return now
}

// behind returns the ways behind a route, and whether one of them comes to it.
func (w *walk) behind(route *caddyhttp.Route, now []Way) (then []Way, came bool) {
	for i, way := range now {
		if w.match != nil {
			w.match(route.MatcherSets, way)
		}
		may, must := w.matches(route, way)
		if w.stopped {
			return nil, came
		}
		if may && !came {
			came, then = true, slices.Clone(now[:i])
		}
		if may && !must {
			way.share /= 2
		}
		if came && !must {
			then = append(then, way)
		}
		if !may {
			continue
		}
		way.met = append(slices.Clip(way.met), route.Group)
		if behind := w.handlers(route, way); !route.Terminal {
			then = append(then, behind...)
		}
	}
	return then, came
}

// joined makes one way of those that are alike for the routes to come.
func joined(ways []Way, next caddyhttp.RouteList) (all []Way) {
	for _, way := range ways {
		way.met = slices.DeleteFunc(slices.Clone(way.met), func(group string) bool {
			return group == "" || !slices.ContainsFunc(next, func(r caddyhttp.Route) bool { return r.Group == group })
		})
		like := func(w Way) bool { return alike(w.Request, way.Request) && slices.Equal(w.met, way.met) }
		i := slices.IndexFunc(all, like)
		if i < 0 {
			all = append(all, way)
			continue
		}
		elsewhere := func(h caddyhttp.MiddlewareHandler) bool { return !slices.Contains(way.Passed, h) }
		all[i].Passed = slices.DeleteFunc(slices.Clone(all[i].Passed), elsewhere)
		all[i].share += way.share
	}
	return all
}

// alike reports whether two requests, of which rewrites have made others, are the same again.
func alike(a, b *http.Request) bool {
	return a == b || a != nil && b != nil && a.Method == b.Method && *a.URL == *b.URL
}

// handlers returns the ways behind the handlers of a route.
func (w *walk) handlers(route *caddyhttp.Route, way Way) []Way {
	now := []Way{way}
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			now = w.within(h.Routes, now, way.met)
			if h.Errors != nil && way.Request == nil {
				w.routes(h.Errors.Routes, []Way{{share: 1}})
			}
			continue
		case *caddyhttp.Invoke: // from other places too
			if route := w.server.NamedRoutes[h.Name]; route != nil && !slices.Contains(w.invoked, h.Name) {
				w.invoked = append(w.invoked, h.Name)
				now = forgotten(w.within(caddyhttp.RouteList{*route}, forgotten(now), way.met))
				w.invoked = w.invoked[:len(w.invoked)-1]
			}
			continue
		}
		for i := range now {
			now[i].route = route
			w.show(now[i].Request)
			now[i].Passed = w.visit(handler, now[i])
			if by, ok := handler.(*rewrite.Rewrite); ok && now[i].Request != nil {
				now[i].Request = w.rewritten(now[i].Request, by)
			}
		}
		if w.stopped || Answers(handler) {
			return nil
		}
	}
	return now
}

func (w *walk) rewritten(r *http.Request, by *rewrite.Rewrite) *http.Request {
	w.show(r)
	r = r.Clone(r.Context())
	by.Rewrite(r, w.repl)
	return r
}

// within returns the ways behind routes that are those of a handler.
func (w *walk) within(list caddyhttp.RouteList, ways []Way, met []string) []Way {
	behind := w.routes(list, ways)
	for i := range behind {
		behind[i].met = met
	}
	return behind
}

// forgotten returns the ways without what was passed on them.
func forgotten(ways []Way) []Way {
	for i := range ways {
		ways[i].Passed = nil
	}
	return ways
}
