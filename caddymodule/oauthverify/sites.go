package oauthverify

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
)

// warnOfUnreached logs that no request comes to a handler of a server, since others in front answer
// all of them.
func warnOfUnreached(server *caddyhttp.Server) {
	for _, h := range sites.Unreached[*Handler](server) {
		h.places.Logger(h.logger).Warn("oauth_verify: no request comes here, since something in front answers them all, without a token, " +
			"such as respond, reverse_proxy, or a handle without a matcher: write oauth_verify in front of it")
	}
}

// warnOfExcluded logs that no request comes to handlers of a server, since their path is not one
// that comes where they are.
func warnOfExcluded(server *caddyhttp.Server) {
	for _, h := range sites.Excluded[*Handler](server) {
		if !slices.Contains(sites.Unreached[*Handler](server), h) {
			h.places.Logger(h.logger).Warn("oauth_verify: no request of its path comes here, and what it is for may go elsewhere without a token: " +
				"a handle around it has another path, handle_path has taken a part away, or something in front answers")
		}
	}
}

// mistake is what is wrong with a handler, which all requests to this one or another show.
type mistake struct {
	of   *Handler
	text string
}

const (
	takenOff = "oauth_verify: another oauth_verify in front removes the token, and this one refuses every request: " +
		"put each into a handle of its own, or write authorization keep in the first"
	afterBasic = "oauth_verify: basic_auth in front needs name and password in Authorization, where this one needs a token, " +
		"and no request passes both: put each into a handle of its own, or let the token be in another header, by token_header"
	beforeBasic = "oauth_verify: basic_auth behind needs name and password in Authorization, where this one needs a token, " +
		"and no request passes both: put each into a handle of its own, or write authorization basic here"
)

// warnOfRefused logs that handlers of a server refuse every request, or every request for a URL of
// its matchers, since others in front want something else, or remove the token.
func warnOfRefused(server *caddyhttp.Server) {
	found, fine := make(map[caddyhttp.MiddlewareHandler]mistake), make(map[caddyhttp.MiddlewareHandler]bool)
	follow := func(judge func(caddyhttp.MiddlewareHandler, sites.Way, mistake)) sites.Visitor {
		return func(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
			switch own := handler.(type) {
			case *Handler:
				judge(handler, way, own.refuses(way.Passed))
				if own.guard.Replace != nil {
					return nil
				}
				return append(slices.Clip(way.Passed), own)
			case *rewrite.Rewrite:
				return way.Passed
			}
			switch {
			case isBasic(handler):
				judge(handler, way, refusesBasic(way.Passed))
				return append(slices.Clip(way.Passed), handler)
			case sites.LeavesRequests(handler) && !answersAt(handler, way.Request):
				return way.Passed
			}
			return nil
		}
	}
	sites.Any(server, follow(func(handler caddyhttp.MiddlewareHandler, _ sites.Way, m mistake) {
		found[handler], fine[handler] = m, fine[handler] || m.of == nil
	}))
	maps.DeleteFunc(found, func(handler caddyhttp.MiddlewareHandler, _ mistake) bool { return fine[handler] })
	certain := func(handler caddyhttp.MiddlewareHandler, way sites.Way, m mistake) {
		if m.of != nil && way.Certain() {
			found[handler] = m
		}
	}
	if !setsAuthorization(server) {
		urls, _ := sites.URLs(server)
		for _, r := range urls {
			sites.Asked(server, r, follow(certain))
		}
	}
	for _, m := range found {
		m.of.places.Logger(m.of.logger).Warn(m.text)
	}
}

// refuses returns what is wrong if it refuses all requests that have passed these handlers.
func (h *Handler) refuses(passed sites.Handlers) (m mistake) {
	if !h.needsAuthorization() {
		return m
	}
	for _, handler := range passed {
		switch first := handler.(type) {
		case *Handler:
			if !first.guard.KeepAuthorization {
				m = mistake{h, takenOff}
			}
		default:
			m = mistake{h, afterBasic}
		}
	}
	return m
}

// refusesBasic does so for basic_auth.
func refusesBasic(passed sites.Handlers) (m mistake) {
	for _, handler := range passed {
		if h, ok := handler.(*Handler); ok && (!h.guard.KeepAuthorization || h.needsAuthorization()) {
			m = mistake{h, beforeBasic}
		}
	}
	return m
}

// needsAuthorization reports whether it refuses requests without a token in Authorization.
func (h *Handler) needsAuthorization() bool {
	elsewhere := h.FormToken || h.InsecureQueryToken || len(h.TokenHeaders)+len(h.TokenCookies) > 0
	return !h.Optional && !elsewhere
}

// Requires reports whether it lets requests in with a token of that server alone.
func (h *Handler) Requires(s *oauthserver.AuthorizationServer) bool {
	return h.server == s && len(h.Issuers) == 0 && !h.Optional
}

// setsAuthorization reports whether some requests get another Authorization on their way.
func setsAuthorization(server *caddyhttp.Server) bool {
	for h := range sites.All[*headers.Handler](server) {
		if h.Request != nil {
			_, set := h.Request.Set["Authorization"]
			_, added := h.Request.Add["Authorization"]
			if set || added || len(h.Request.Replace) > 0 {
				return true
			}
		}
	}
	return false
}

// answersAt reports whether a handler, such as oauth_token, answers a request for that path.
func answersAt(handler caddyhttp.MiddlewareHandler, r *http.Request) bool {
	some, ok := handler.(interface{ AnswersAt(path string) bool })
	return ok && r != nil && some.AnswersAt(r.URL.Path)
}

// isBasic reports whether a handler lets nobody in without a name and a password in Authorization.
func isBasic(handler caddyhttp.MiddlewareHandler) bool {
	a, ok := handler.(*caddyauth.Authentication)
	if !ok || len(a.Providers) != 1 {
		return false
	}
	_, basic := a.Providers["http_basic"].(*caddyauth.HTTPBasicAuth)
	return basic
}

// warnOfBelow logs that the matcher of a handler is a path without what is below it, where that
// goes to the same upstream, and nobody asks for a token. That there is something below is known if
// the path ends with a slash, or another matcher names it: /graphql may be all that there is.
func warnOfBelow(server *caddyhttp.Server) {
	all, _ := sites.URLs(server)
	for _, r := range all {
		path, folder := r.URL.Path, strings.TrimSuffix(r.URL.Path, "/")+"/"
		h, upstream, _ := passes(server, r)
		if h == nil || upstream == nil {
			continue
		}
		below := slices.DeleteFunc(slices.Clone(all), func(other *http.Request) bool {
			return other.Host != r.Host || other.URL.Path == path || !strings.HasPrefix(other.URL.Path, folder)
		})
		if path == folder {
			child := r.Clone(r.Context())
			child.URL.Path += "x"
			below = append(below, child)
		}
		for _, other := range below {
			if _, same, open := passes(server, other); open && same == upstream {
				h.places.Logger(h.logger).Warn("oauth_verify: its path is without what is below it, which goes to the same upstream without a token: "+
					"write a matcher with both "+path+" and "+folder+"*", "path", path, "unprotected", other.URL.Path)
				break
			}
		}
	}
}

// passes follows a request to the handler that answers it; nil: it is not known which. It returns
// the handler on the way that is there by a path alone, if there is one, and whether it is known
// that nobody on the way refuses the request.
func passes(server *caddyhttp.Server, r *http.Request) (h *Handler, upstream caddyhttp.MiddlewareHandler, open bool) {
	answering := make(map[caddyhttp.MiddlewareHandler]bool)
	open = true
	complete := sites.Asked(server, r, func(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
		switch own := handler.(type) {
		case *Handler:
			if open = false; way.Certain() && way.ByPath() {
				h = own
			}
		case *rewrite.Rewrite, *headers.Handler:
		default:
			if sites.Answers(handler) {
				answering[handler] = true
			} else {
				open = open && sites.LeavesRequests(handler) && !answersAt(handler, way.Request)
			}
		}
		return nil
	})
	if complete && len(answering) == 1 {
		upstream = slices.Collect(maps.Keys(answering))[0]
	}
	return h, upstream, open
}
