package oauthtoken

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// checkSites warns of handlers of its server that the sites leave without requests.
func (h *Handler) checkSites(app *caddyhttp.App) {
	h.warnOfReach(app)
	h.warnOfTaken(app)
	for _, s := range app.Servers {
		for _, own := range sites.Unreached[*Handler](s) {
			if own.server == h.server {
				own.logger.Warn("oauth_token: no request comes here, since something in front answers them all, " +
					"such as respond, reverse_proxy, or a handle without a matcher: write oauth_token in front of it")
			}
		}
	}
}

// requirer is a handler that may need a token of a server to let a request in, as oauth_verify
// does.
type requirer interface {
	Requires(*oauthserver.AuthorizationServer) bool
}

// taking is what requests for the endpoints of handlers of one server come to first.
type taking struct {
	server *oauthserver.AuthorizationServer
	free   map[*Handler][]string // paths for which a request may come
	first  map[*Handler]map[string]caddyhttp.MiddlewareHandler
}

// warnOfTaken logs that handlers in front answer all requests for an endpoint, or need a token:
// whatever the URL, or else those for the URLs of the sites.
func (h *Handler) warnOfTaken(app *caddyhttp.App) {
	all, asked := newTaking(h.server), newTaking(h.server)
	var paths []string
	complete := true
	for _, s := range app.Servers {
		complete = sites.Any(s, all.visit) && complete
	}
	for own := range all.first {
		for _, path := range own.routes.Paths() {
			paths = append(paths, sample(path))
		}
	}
	said := make(map[*Handler]bool)
	if complete {
		all.report(true, said)
	}
	whole := true
	for _, s := range app.Servers {
		urls, every := sites.URLs(s, paths...)
		whole = whole && every
		for _, r := range urls {
			complete = sites.Asked(s, r, asked.visit) && complete
		}
	}
	if complete {
		asked.report(whole, said)
	}
}

func newTaking(s *oauthserver.AuthorizationServer) *taking {
	return &taking{s, make(map[*Handler][]string), make(map[*Handler]map[string]caddyhttp.MiddlewareHandler)}
}

// taken returns the paths of a handler for which no request comes, by the handlers that are first.
// Where a token is needed, that matters if no handler of the server is there without one.
func (t *taking) taken(own *Handler) map[caddyhttp.MiddlewareHandler][]string {
	taken := make(map[caddyhttp.MiddlewareHandler][]string)
	for _, path := range own.routes.Paths() {
		first := t.first[own][path]
		_, answers := first.(*Handler)
		open := func(h *Handler) bool { return (h == own || !answers) && slices.Contains(t.free[h], path) }
		if first != nil && !slices.ContainsFunc(slices.Collect(maps.Keys(t.free)), open) {
			taken[first] = append(taken[first], path)
		}
	}
	return taken
}

// report logs what is taken; of what is known for some URLs alone, only where a token is needed,
// and nothing of a handler of which something was said.
func (t *taking) report(whole bool, said map[*Handler]bool) {
	for own := range t.first {
		if said[own] {
			continue
		}
		for first, paths := range t.taken(own) {
			if _, answers := first.(*Handler); whole || !answers {
				own.warnOfFirst(first, paths)
				said[own] = true
			}
		}
	}
}

// warnOfFirst logs that another handler is the first that requests for these paths come to.
func (h *Handler) warnOfFirst(first caddyhttp.MiddlewareHandler, never []string) {
	logger := h.logger.With("server", h.server.Name())
	other, ok := first.(*Handler)
	switch {
	case !ok:
		logger.Warn("oauth_token: an oauth_verify in front needs a token of this server, and nobody gets one without having one: "+
			"write oauth_token in front of it, or into a handle of its own", "paths", never)
	case other.server != h.server:
		logger.Warn("oauth_token: another server has endpoints at the same paths, and its oauth_token, in front, answers all requests for them: "+
			"put each into a site or handle of its own, or give them other paths", "other", other.server.Name(), "paths", never)
	case len(never) == len(h.routes.Paths()), slices.ContainsFunc(never, h.names):
		logger.Warn("oauth_token: another oauth_token of this server, in front, answers all requests for these paths: "+
			"remove one of the two, or give them different paths", "paths", never)
	}
}

// names reports whether the configuration gives it the path.
func (h *Handler) names(path string) bool {
	given, err := h.paths()
	return err == nil && (slices.ContainsFunc(given.Token, func(t server.TokenPath) bool { return t.Path == path }) ||
		slices.ContainsFunc(slices.Collect(maps.Values(given.Moved)), func(paths []string) bool { return slices.Contains(paths, path) }))
}

func (t *taking) visit(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
	own, ok := handler.(*Handler)
	if !ok {
		if guard, ok := handler.(requirer); ok && guard.Requires(t.server) {
			return append(slices.Clip(way.Passed), handler)
		} else if ok || sites.LeavesRequests(handler) {
			return way.Passed
		}
		return nil
	}
	behind := append(slices.Clip(way.Passed), handler)
	if own.server != t.server {
		return behind
	}
	if t.first[own] == nil {
		t.first[own] = make(map[string]caddyhttp.MiddlewareHandler)
	}
	for _, path := range own.routes.Paths() {
		if way.Request != nil && way.Request.URL.Path != sample(path) {
			continue
		}
		if first := own.after(way.Passed, path); first != nil && way.Certain() {
			t.first[own][path] = first
		} else {
			t.free[own] = append(t.free[own], path)
		}
	}
	return behind
}

// after returns the handler, of those that requests pass before this one, that answers requests for
// a path, or needs a token.
func (h *Handler) after(passed sites.Handlers, path string) caddyhttp.MiddlewareHandler {
	for _, handler := range passed {
		if first, ok := handler.(*Handler); !ok || first != h && first.routes.Has(sample(path)) {
			return handler
		}
	}
	return nil
}

// sample is a path at which an endpoint is asked: with an argument, if it has one.
func sample(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "x"
	}
	return path
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
		r, err := http.NewRequest(http.MethodPost, issuer.Scheme+"://"+issuer.Host+sample(path), http.NoBody)
		if err != nil {
			return
		}
		for _, s := range app.Servers {
			found := false
			complete := sites.Asked(s, r, func(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
				if other, ok := handler.(*Handler); ok && other.server == h.server {
					met, found = true, found || other.routes.Has(way.Request.URL.Path)
				}
				return nil
			})
			if found || !complete {
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
		for other := range sites.All[*Handler](s) {
			if other.server == h.server {
				paths, seen = append(paths, other.routes.Paths()...), seen || same
			}
		}
	}
	slices.Sort(paths)
	metadata := func(path string) bool { return strings.HasPrefix(path, "/.well-known/") }
	return slices.DeleteFunc(slices.Compact(paths), metadata), seen
}
