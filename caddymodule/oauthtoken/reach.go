package oauthtoken

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

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
		sites.Any(s, func(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
			own, ok := handler.(*Handler)
			if !ok {
				if sites.LeavesRequests(handler) {
					return way.Passed
				}
				return nil
			}
			if own.server != h.server {
				return append(slices.Clip(way.Passed), own)
			}
			for _, path := range own.routes.Paths() {
				if first := takes(way.Passed, path); first != nil {
					taken[own] = first
				} else {
					free[own] = append(free[own], path)
				}
			}
			return way.Passed
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
			found := false
			sites.Asked(s, r, func(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
				if other, ok := handler.(*Handler); ok && other.server == h.server {
					met, found = true, found || other.routes.Has(way.Request.URL.Path)
				}
				return nil
			})
			if found {
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
		for handler := range sites.All(s) {
			if other, ok := handler.(*Handler); ok && other.server == h.server {
				paths, seen = append(paths, other.routes.Paths()...), seen || same
			}
		}
	}
	slices.Sort(paths)
	metadata := func(path string) bool { return strings.HasPrefix(path, "/.well-known/") }
	return slices.DeleteFunc(slices.Compact(paths), metadata), seen
}
