package oauthverify

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
)

// reach is a route that trusts a server of this process.
type reach struct {
	*Handler
	logger   *slog.Logger // of warnings
	audience []string
	others   bool // it trusts issuers elsewhere, too
}

// getsMinted reports whether another route gives tokens to this one, in the place of those that
// clients have.
func (h reach) getsMinted() bool {
	return slices.ContainsFunc(h.app.reaches, func(r reach) bool {
		return r.server == h.server && r.Authorization != nil && r.Authorization.Token != nil &&
			(h.InsecureAnyAudience || slices.ContainsFunc(r.Authorization.Token.Audience, among(h.audience)))
	})
}

// warnOfReach logs what the route asks for that no client of the server could ever have. The scope
// may come of another issuer, if there is one.
func (h reach) warnOfReach() {
	audience, others := h.audience, h.others
	if !others {
		h.warnOfClaims()
		h.warnOfBound()
	}
	reaches, bounded := h.server.Server().Config.Reaches()
	if h.warnOfForms(audience) || !bounded || h.getsMinted() {
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
	if !slices.ContainsFunc(reaches, func(r server.Reach) bool { return h.MaxLifetime == 0 || r.Life <= time.Duration(h.MaxLifetime) }) {
		logger.Warn("max_lifetime: every token for this route lives longer, and is refused: make access_token_ttl of the server or its clients as short, or max_lifetime longer",
			"audience", audience, "max_lifetime", time.Duration(h.MaxLifetime).String())
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
	operations := h.MCP.operations()
	for _, option := range slices.Sorted(maps.Keys(operations)) {
		for _, o := range operations[option] {
			if i := slices.IndexFunc(o.Scope, func(token string) bool { return !slices.ContainsFunc(reaches, has(token)) }); i >= 0 {
				logger.Warn("mcp: no client of the configuration can get a token with a scope that an operation needs: give it to one that may use the route",
					"audience", audience, "option", option+" "+o.Name, "mcp_scope", o.Scope[i], "clients_have", have)
			}
		}
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

// warnOfClaims logs that the route names claims that no token of the server can have.
func (h reach) warnOfClaims() {
	known, bounded := h.server.Server().Config.TokenClaims()
	if !bounded {
		return
	}
	lacks := func(claim string) bool { return !slices.Contains(known, claim) }
	warn := func(option, line, claim, follows string) {
		if lacks(claim) {
			h.logger.Warn(option+": no token of the server has such a claim, and "+follows+"; "+adapt.Meant(claim, known), "option", line, "claim", claim)
		}
	}
	for _, c := range h.Headers {
		warn("header", "header "+c.Header, c.Claim[0], "the application never gets the header")
	}
	for _, text := range h.Rules {
		claims, _ := policy.RuleClaims(text) // which has been compiled
		for _, claim := range slices.Compact(slices.Sorted(slices.Values(claims))) {
			warn("rule", "rule "+text, claim, "the rule fails where it looks at it")
		}
	}
	for _, text := range h.RequireClaims {
		name, _, _ := strings.Cut(text, "=")
		path, _ := verify.ParseClaimPath(name) // which has been parsed
		warn("require_claims", "require_claims", path[0], "every token is refused")
	}
	for _, row := range []struct {
		option, claim string
		asks          bool
	}{{"max_auth_age", "auth_time", h.MaxAuthAge > 0}, {"acr_values", "acr", len(h.ACRValues) > 0}} {
		if option, claim := row.option, row.claim; row.asks && lacks(claim) {
			h.logger.Warn(option+": no token of the server has the claim "+claim+", which says how a person has signed in, and every one is refused: "+
				"have the server say it, by users or by identity { "+claim+" … }, or remove the option", "option", option)
		}
	}
}

// warnOfBound logs that the route needs tokens that are bound to a certificate, of which the server
// gives none.
func (h reach) warnOfBound() {
	if c := h.ClientCertificates; c != nil && c.Required && h.server.Server().Config.ClientCertificates == nil {
		h.logger.Warn("client_certificates: the server looks at no certificate, and binds no token to one, and every token is refused: " +
			"add client_certificates to the oauth_server, or leave out required")
	}
}

func among(names []string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

// warnOfForms logs an audience that means a resource of a client, but is written in another way:
// aud is compared byte by byte (RFC 7519 §2), so that no such token of the client would pass.
func (h reach) warnOfForms(audience []string) (warned bool) {
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
