package oauthverify

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// behind finds what is behind guards and asks for what no token of theirs can have: matchers, and
// placeholders.
type behind struct {
	ctx     caddy.Context
	logger  *slog.Logger
	guarded bool            // something that may know tokens was in front of what follows
	said    map[string]bool // what was, of several ways to one place
}

// warnOfBehind logs which matchers and placeholders of a server nobody can satisfy.
func warnOfBehind(ctx caddy.Context, s *caddyhttp.Server) {
	b := &behind{ctx: ctx, logger: ctx.Slogger(), said: make(map[string]bool)}
	sites.AnyMatched(s, b.visit, b.match)
}

// visit returns the guard by whose tokens requests are known behind a handler.
func (b *behind) visit(handler caddyhttp.MiddlewareHandler, way sites.Way) sites.Handlers {
	own, isGuard := handler.(*Handler)
	if isGuard {
		way.Passed = sites.Handlers{own}
	}
	b.usePlaceholders(handler, way.Passed)
	if !isGuard && (sites.LeavesRequests(handler) || sites.Answers(handler) || usesPlaceholders(handler)) {
		return way.Passed
	}
	b.guarded = true // also by what is not known
	return sites.Handlers{handler}
}

// usesPlaceholders reports whether a handler has placeholders of the request, and sets none of
// those of its user.
func usesPlaceholders(handler caddyhttp.MiddlewareHandler) bool {
	module, ok := handler.(caddy.Module)
	return ok && slices.Contains([]caddy.ModuleID{"http.handlers.headers", "http.handlers.reverse_proxy", "http.handlers.static_response",
		"http.handlers.rewrite", "http.handlers.vars", "http.handlers.log_append", "http.handlers.error", "http.handlers.oauth_verify"}, module.CaddyModule().ID)
}

var userPlaceholders = regexp.MustCompile(`\{http\.auth\.user\.([^{}"]+)\}`)

// usePlaceholders logs which placeholders of a handler are always empty.
func (b *behind) usePlaceholders(handler caddyhttp.MiddlewareHandler, passed sites.Handlers) {
	guard, known := claimsBehind(passed)
	if guard == nil || !usesPlaceholders(handler) {
		return
	}
	text, _ := json.Marshal(handler) // what has no JSON has no placeholders
	for _, found := range userPlaceholders.FindAllStringSubmatch(string(text), -1) {
		path, err := verify.ParseClaimPath(strings.ReplaceAll(found[1], `\\`, `\`))
		if err != nil || found[1] == "id" || slices.Contains(known, path[0]) {
			continue
		}
		b.once(guard.places.Logger(guard.logger), "the placeholder "+found[0]+" is always empty behind this oauth_verify: no token of the server has such a claim; "+
			adapt.Meant(path[0], known), "claim", path[0], "in", handler.(caddy.Module).CaddyModule().ID.Name())
	}
}

// match looks at the matchers of a route, also at those whose opposite is asked for.
func (b *behind) match(sets caddyhttp.MatcherSets, way sites.Way) {
	for _, set := range sets {
		for _, matcher := range set {
			switch m := matcher.(type) {
			case *MatchScope:
				b.matchScope(*m, way.Passed)
			case *MatchClaim:
				b.matchClaim(m, way.Passed)
			case *caddyhttp.MatchNot:
				for _, inner := range m.MatcherSets {
					b.match(caddyhttp.MatcherSets{inner}, way)
				}
			}
		}
	}
}

const unguarded = "it matches nothing, since no oauth_verify is in front: write the matcher behind one, in a route, or in a handle behind it"

func (b *behind) matchScope(m MatchScope, passed sites.Handlers) {
	logger := adapt.PlacesOf(b.ctx, &m).Logger(b.logger)
	if !b.guarded {
		b.once(logger, "oauth_scope: "+unguarded, "scope", strings.Join(m, " "))
		return
	}
	guard, _ := claimsBehind(passed)
	if guard == nil {
		return
	}
	reaches, bounded := guard.server.Server().Config.Reaches()
	for _, token := range m {
		has := func(r server.Reach) bool { return guard.guard.Grants(&verify.Token{Scope: r.Scope}, token) }
		if bounded && !slices.ContainsFunc(reaches, has) {
			b.once(logger, "oauth_scope: no client of the configuration can get a token with such a scope: give it to one that may use the route",
				"scope", token, "clients_have", someOf(reaches, func(r server.Reach) []string { return r.Scope }))
		}
	}
}

func (b *behind) matchClaim(m *MatchClaim, passed sites.Handlers) {
	logger := adapt.PlacesOf(b.ctx, m).Logger(b.logger)
	if !b.guarded {
		b.once(logger, "oauth_claim: "+unguarded, "claims", strings.Join(m.Claims, " "))
		return
	}
	guard, known := claimsBehind(passed)
	for _, text := range m.Claims {
		name, _, _ := strings.Cut(text, "=")
		if path, err := verify.ParseClaimPath(name); guard != nil && err == nil && !slices.Contains(known, path[0]) {
			b.once(logger, "oauth_claim: no token of the server has such a claim, and the matcher matches nothing; "+adapt.Meant(path[0], known), "claim", path[0])
		}
	}
}

// claimsBehind returns the guard that requests have passed, and the claims that its tokens can
// have; nil: that is not known.
func claimsBehind(passed sites.Handlers) (*Handler, []string) {
	if len(passed) != 1 {
		return nil, nil
	}
	guard, ok := passed[0].(*Handler)
	if !ok || guard.server == nil || len(guard.Issuers) > 0 {
		return nil, nil
	}
	known, bounded := guard.server.Server().Config.TokenClaims()
	if !bounded {
		return nil, nil
	}
	return guard, known
}

// once logs a warning that was not logged before.
func (b *behind) once(logger *slog.Logger, text string, attrs ...any) {
	key, _ := json.Marshal(append([]any{text}, attrs...)) // of texts
	if !b.said[string(key)] {
		b.said[string(key)] = true
		logger.Warn(text, attrs...)
	}
}
