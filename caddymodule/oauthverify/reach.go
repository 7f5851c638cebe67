package oauthverify

import (
	"slices"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// warnOfReach logs what the route asks for that no client of the server could ever have. The scope
// may come of another issuer, if there is one.
func (h *Handler) warnOfReach(audience []string, others bool) {
	if !others {
		h.warnOfClaims()
	}
	reaches, bounded := h.server.Server().Config.Reaches()
	if h.warnOfForms(audience) || !bounded {
		return
	}
	logger := h.logger.With("server", h.server.Name())
	if !h.InsecureAnyAudience {
		far := func(r server.Reach) bool { return !slices.ContainsFunc(r.Audience, among(audience)) }
		have := someOf(reaches, func(r server.Reach) []string { return r.Audience })
		if reaches = slices.DeleteFunc(reaches, far); len(reaches) == 0 {
			logger.Warn("no client of the configuration can get a token for this route: give one that may use it this audience",
				"audience", audience, "clients_have", have)
			return
		}
	}
	if others {
		return
	}
	has := func(token string) func(server.Reach) bool {
		return func(r server.Reach) bool { return h.guard.Grants(&verify.Token{Scope: r.Scope}, token) }
	}
	have := someOf(reaches, func(r server.Reach) []string { return r.Scope })
	for _, token := range h.Scope {
		if !slices.ContainsFunc(reaches, has(token)) {
			logger.Warn("no client of the configuration can get a token with a scope that this route needs: give it to one that may use the route",
				"audience", audience, "scope", token, "clients_have", have)
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
			"audience", audience, "any_scope", h.AnyScope, "clients_have", have)
	}
}

// someOf returns up to eight of the audiences or scope-tokens that clients have: mostly one of them
// was meant.
func someOf(reaches []server.Reach, have func(server.Reach) []string) (some []string) {
	for _, r := range reaches {
		some = append(some, have(r)...)
	}
	slices.Sort(some)
	some = slices.Compact(some)
	return some[:min(8, len(some))]
}

// warnOfClaims logs that the route writes a claim into a header that no token of the server can
// have.
func (h *Handler) warnOfClaims() {
	known, bounded := h.server.Server().Config.TokenClaims()
	for _, c := range h.Headers {
		if bounded && !slices.Contains(known, c.Claim[0]) {
			h.logger.Warn("header: no token of the server has such a claim, and the application never gets the header; "+
				adapt.Meant(c.Claim[0], known), "option", "header "+c.Header, "claim", c.Claim[0])
		}
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
