package oauthverify

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// warnOfReach logs what the route asks for that no client of the server could ever have. The scope
// may come of another issuer, if there is one.
func (h *Handler) warnOfReach(audience []string, others bool) {
	reaches, bounded := h.server.Server().Config.Reaches()
	if h.warnOfForms(audience) || !bounded {
		return
	}
	logger := h.logger.With("server", h.server.Name())
	if !h.InsecureAnyAudience {
		far := func(r server.Reach) bool { return !slices.ContainsFunc(r.Audience, among(audience)) }
		if reaches = slices.DeleteFunc(reaches, far); len(reaches) == 0 {
			logger.Warn("no client of the configuration can get a token for this route: give one that may use it this audience", "audience", audience)
			return
		}
	}
	if others {
		return
	}
	has := func(token string) func(server.Reach) bool {
		return func(r server.Reach) bool { return h.guard.Grants(&verify.Token{Scope: r.Scope}, token) }
	}
	for _, token := range h.Scope {
		if !slices.ContainsFunc(reaches, has(token)) {
			logger.Warn("no client of the configuration can get a token with a scope that this route needs: give it to one that may use the route",
				"audience", audience, "scope", token)
			return
		}
	}
	all := func(r server.Reach) bool {
		return !slices.ContainsFunc(h.Scope, func(token string) bool { return !has(token)(r) })
	}
	if !slices.ContainsFunc(reaches, all) {
		logger.Warn("no client of the configuration can get a token with all of the scope that this route needs: give it to one that may use the route",
			"audience", audience, "scope", h.Scope)
	}
	if len(h.AnyScope) > 0 && !slices.ContainsFunc(h.AnyScope, func(token string) bool { return slices.ContainsFunc(reaches, has(token)) }) {
		logger.Warn("no client of the configuration can get a token with any of the scope of which this route needs one: give it to one that may use the route",
			"audience", audience, "any_scope", h.AnyScope)
	}
}

func among(names []string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

// warnOfForms logs an audience that means a resource of a client, but is written in another way:
// aud is compared byte by byte (RFC 7519 §2), so that no such token of the client would pass.
func (h *Handler) warnOfForms(audience []string) (warned bool) {
	config := &h.server.Server().Config
	for i := range config.Clients {
		client := &config.Clients[i]
		targets := client.Audience
		if len(targets) == 0 {
			targets = config.Audience
		}
		for _, target := range targets {
			same := slices.IndexFunc(audience, func(a string) bool { return tokenep.SameResource(a, target) })
			if same >= 0 && !slices.Contains(audience, target) {
				warned = true
				h.logger.Warn("a client's audience is this one, but is written in another way, and its tokens are refused: write both alike",
					"audience", audience[same], "client", client.ID, "its_audience", target)
			}
		}
	}
	return warned
}

// warnOfTakenOff logs that a route refuses every request, since another in front removes the token.
func warnOfTakenOff(http *caddyhttp.App) {
	asked := make(map[*Handler]bool) // to whether each request has lost its token
	for _, s := range http.Servers {
		sites.Any(s, func(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
			passed := way.Passed
			switch own := handler.(type) {
			case *Handler:
				without, again := asked[own]
				asked[own] = len(passed) > 0 && (without || !again)
				if !own.guard.KeepAuthorization && own.guard.Replace == nil {
					return append(slices.Clip(passed), own)
				}
				return nil
			case *rewrite.Rewrite:
				return passed
			}
			if sites.LeavesRequests(handler) {
				return passed
			}
			return nil
		})
	}
	for h, without := range asked {
		elsewhere := h.FormToken || h.InsecureQueryToken || len(h.TokenHeaders)+len(h.TokenCookies) > 0
		if without && !h.Optional && !elsewhere {
			h.places.Logger(h.logger).Warn("oauth_verify: another oauth_verify in front removes the token, and this one refuses every request: " +
				"put each into a handle of its own, or write authorization keep in the first")
		}
	}
}
