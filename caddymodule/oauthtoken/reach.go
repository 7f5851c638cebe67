package oauthtoken

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
)

// checkSites warns of handlers of its server that the sites leave without requests.
func (h *Handler) checkSites(app *caddyhttp.App) {
	h.warnOfReach(app)
	h.warnOfTaken(app)
}

// warnOfTaken logs that handlers of other servers answer all requests for an endpoint, in front.
func (h *Handler) warnOfTaken(app *caddyhttp.App) {
	free := make(map[*Handler][]string) // paths for which a request may come
	taken := make(map[*Handler]*Handler)
	for _, s := range app.Servers {
		sites.Passed(s, func(handler caddyhttp.MiddlewareHandler, passed sites.Handlers) sites.Handlers {
			own, ok := handler.(*Handler)
			if !ok {
				if sites.LeavesRequests(handler) {
					return passed
				}
				return nil
			}
			if own.server != h.server {
				return append(slices.Clip(passed), own)
			}
			for _, path := range own.routes.Paths() {
				if first := takes(passed, path); first != nil {
					taken[own] = first
				} else {
					free[own] = append(free[own], path)
				}
			}
			return passed
		})
	}
	for own, first := range taken {
		never := slices.DeleteFunc(own.routes.Paths(), func(path string) bool { return slices.Contains(free[own], path) })
		if len(never) > 0 {
			own.logger.Warn("oauth_token: another server has endpoints at the same paths, and its oauth_token, in front, answers all requests for them: "+
				"put each into a site or handle of its own, or give them other paths", "server", own.server.Name(), "other", first.server.Name(), "paths", never)
		}
	}
}

// takes returns the handler that answers requests for a path, of those that they pass.
func takes(passed sites.Handlers, path string) *Handler {
	if strings.HasSuffix(path, "/") {
		path += "x"
	}
	for _, handler := range passed {
		if first := handler.(*Handler); first.routes.Has(path) {
			return first
		}
	}
	return nil
}

// warnOfReach logs that no request for a URL of the issuer comes to an endpoint of its server. It
// takes only those sites for the ones that clients see which have the scheme of the issuer: before
// the others is a proxy, which may change hosts and paths. Matchers of anything but a host or a
// path may match or not.
func (h *Handler) warnOfReach(app *caddyhttp.App) {
	issuer, err := url.Parse(h.server.Server().Config.Issuer)
	if err != nil {
		return
	}
	paths, seen := h.pathsOn(app, issuer.Scheme)
	if !seen {
		return
	}
	met := false
	for _, path := range paths {
		if strings.HasSuffix(path, "/") {
			path += "x"
		}
		r, err := http.NewRequest(http.MethodPost, issuer.Scheme+"://"+issuer.Host+path, http.NoBody)
		if err != nil {
			return
		}
		for _, s := range app.Servers {
			w := &walk{server: s, repl: caddy.NewReplacer()}
			found := false
			w.visit = func(handler caddyhttp.MiddlewareHandler, r *http.Request) {
				if other, ok := handler.(*Handler); ok && other.server == h.server {
					met, found = true, found || other.routes.Has(r.URL.Path)
				}
			}
			asked := caddyhttp.PrepareRequest(r.Clone(r.Context()), w.repl, nil, s)
			asked.URL.Scheme, asked.URL.Host = "", "" // as a server has it
			if w.routes(s.Routes, []*http.Request{asked}); found {
				return
			}
		}
	}
	if met {
		h.logger.Warn("oauth_token: its endpoints are at the paths that the URL of the issuer has, and something in front takes away a part of these, "+
			"such as handle_path or uri strip_prefix: write handle, so that paths stay as they are", "issuer", issuer.String())
		return
	}
	h.logger.Warn("oauth_token: no site leads requests for the URL of the issuer here, and clients find no endpoint: "+
		"put it into a site with the host of the issuer, or make the issuer the URL of the site", "issuer", issuer.String())
}

// pathsOn returns the paths of the endpoints of the server, without those of its metadata, which
// are not below the path of the issuer (RFC 8414 §3), and whether one is on a site of that scheme.
func (h *Handler) pathsOn(app *caddyhttp.App, scheme string) (paths []string, seen bool) {
	for _, s := range app.Servers {
		same := (len(s.TLSConnPolicies) > 0) == (scheme == "https")
		w := &walk{server: s, everywhere: true, visit: func(handler caddyhttp.MiddlewareHandler, _ *http.Request) {
			if other, ok := handler.(*Handler); ok && other.server == h.server {
				paths, seen = append(paths, other.routes.Paths()...), seen || same
			}
		}}
		w.routes(s.Routes, []*http.Request{nil})
	}
	slices.Sort(paths)
	metadata := func(path string) bool { return strings.HasPrefix(path, "/.well-known/") }
	return slices.DeleteFunc(slices.Compact(paths), metadata), seen
}

// walk visits the handlers that a request may come to.
type walk struct {
	server     *caddyhttp.Server
	repl       *caddy.Replacer
	everywhere bool // whatever the matchers; then there is no request
	visit      func(caddyhttp.MiddlewareHandler, *http.Request)
	invoked    int // named routes, within one another
}

// variant is what a request may be like at a route, and the groups of which it has met a route.
type variant struct {
	r   *http.Request
	met []string
}

const (
	maxVariants = 256 // bounds what a request may be like
	maxInvoked  = 10  // bounds what invokes itself
)

// routes returns what the requests may be like behind the routes.
func (w *walk) routes(list caddyhttp.RouteList, in []*http.Request) (out []*http.Request) {
	var now []variant
	for _, r := range in {
		now = append(now, variant{r: r})
	}
	for i := range list {
		route := &list[i]
		var then []variant
		for _, v := range now {
			may, must := w.matches(route, v)
			if !must {
				then = append(then, v)
			}
			if !may || len(then) > maxVariants {
				continue
			}
			behind := w.handlers(route.Handlers, v.r)
			if route.Terminal && !w.everywhere {
				out = append(out, behind...)
				continue
			}
			for _, r := range behind {
				then = append(then, variant{r, append(slices.Clip(v.met), route.Group)})
			}
		}
		now = then
	}
	for _, v := range now {
		out = append(out, v.r)
	}
	return out
}

// matches reports whether a route may have the request, and whether it must.
func (w *walk) matches(route *caddyhttp.Route, v variant) (may, must bool) {
	switch {
	case w.everywhere:
		return true, true
	case route.Group != "" && slices.Contains(v.met, route.Group):
		return false, false
	case len(route.MatcherSets) == 0:
		return true, true
	}
	for _, set := range route.MatcherSets {
		can, sure := true, true
		for _, matcher := range set {
			var matched bool
			var err error
			switch m := matcher.(type) {
			case *caddyhttp.MatchHost:
				matched, err = m.MatchWithError(v.r)
			case *caddyhttp.MatchPath:
				matched, err = m.MatchWithError(v.r)
			default:
				matched, sure = true, false
			}
			can = can && (matched || err != nil)
			sure = sure && err == nil
		}
		may, must = may || can, must || can && sure
	}
	return may, must
}

// handlers returns what a request may be like behind the handlers of a route.
func (w *walk) handlers(list []caddyhttp.MiddlewareHandler, r *http.Request) []*http.Request {
	now := []*http.Request{r}
	for _, handler := range list {
		for _, r := range now {
			w.visit(handler, r)
		}
		switch handler := handler.(type) {
		case *rewrite.Rewrite:
			now = w.rewritten(handler, now)
		case *caddyhttp.Subroute:
			now = w.routes(handler.Routes, now)
		case *caddyhttp.Invoke:
			if route := w.server.NamedRoutes[handler.Name]; route != nil && w.invoked < maxInvoked {
				w.invoked++
				now = w.routes(caddyhttp.RouteList{*route}, now)
				w.invoked--
			}
		}
	}
	return now
}

func (w *walk) rewritten(by *rewrite.Rewrite, requests []*http.Request) (after []*http.Request) {
	for _, r := range requests {
		if r != nil {
			r = r.Clone(r.Context())
			by.Rewrite(r, w.repl)
		}
		after = append(after, r)
	}
	return after
}
