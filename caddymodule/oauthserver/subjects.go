package oauthserver

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
)

// SubjectsNamespace is the namespace of the modules that tokens of others come from. Each is an
// Extension that adds to Config.Subjects.
const SubjectsNamespace = "oauth_server.subjects"

// parseSubject reads where tokens come from that others have issued. Syntax:
//
//	subject <module> …
//
// The module reads what follows its name.
func (s *AuthorizationServer) parseSubject(d *caddyfile.Dispenser) error {
	places := adapt.PlacesIn(d)
	if !d.NextArg() {
		return d.Err("subject takes the name of a module, such as jwt")
	}
	name := d.Val()
	module, err := adapt.Module(d, SubjectsNamespace, name)
	if err != nil {
		return err
	}
	raw := caddyconfig.JSONModuleObject(module, "kind", name, nil)
	places.Remember(raw, nil)
	s.SubjectsRaw = append(s.SubjectsRaw, raw)
	return nil
}

// subjectModule is one of SubjectsRaw.
type subjectModule struct {
	Raw json.RawMessage `caddy:"namespace=oauth_server.subjects inline_key=kind"`
}

// addSubjects loads the modules that tokens of others come from, and has them add to the
// configuration.
func (s *AuthorizationServer) addSubjects(ctx caddy.Context, c *server.Config) error {
	for _, raw := range s.SubjectsRaw {
		if err := addModule(ctx, c, raw, func(ctx caddy.Context) (any, error) { return ctx.LoadModule(&subjectModule{raw}, "Raw") }); err != nil {
			return fmt.Errorf("subjects: %w", err)
		}
	}
	return nil
}

// warnPolicies logs what the policies for tokens of others say in vain.
func warnPolicies(logger *slog.Logger, config *server.Config) {
	word := func(id string) bool { return id == subject.AnyClient || id == subject.NoClient }
	for _, source := range config.Subjects {
		for i := range source.Policies {
			p := &source.Policies[i]
			var clients []*tokenep.Client
			for _, id := range slices.DeleteFunc(slices.Clone(p.Clients), word) {
				c := findClient(config, id)
				if c == nil {
					logger.Warn("clients of a policy names a client that is not in the configuration", "policy", p.Name, "clients", id)
					continue
				}
				clients = append(clients, c)
				warnGrants(logger, p, c)
			}
			if len(clients) > 0 && len(clients) == len(p.Clients) {
				warnReach(logger, p, clients, config)
			}
			warnNobody(logger, p, config)
		}
		warnUnasked(logger, source, config.Subjects)
	}
}

// warnNobody logs that a policy for any client is for none of those that there are. Where there are
// none, all are added at run time.
func warnNobody(logger *slog.Logger, p *subject.Policy, config *server.Config) {
	anybody := len(p.Clients) == 0 || slices.Contains(p.Clients, subject.AnyClient)
	if !anybody || slices.Contains(p.Clients, subject.NoClient) || len(config.Clients) == 0 || config.Registration != nil {
		return
	}
	can := func(c tokenep.Client) bool {
		return slices.ContainsFunc(grantsOf(p), c.May) && (p.AllowPublic || !c.Public())
	}
	if !slices.ContainsFunc(config.Clients, can) {
		logger.Warn("no client of the configuration may use the grant that a policy is for: give it to one, or write clients none if no client takes part",
			"policy", p.Name, "grants", namesOf(grantsOf(p)))
	}
}

func namesOf(grantTypes []string) (names []string) {
	for _, grantType := range grantTypes {
		names = append(names, tokenep.GrantName(grantType))
	}
	return names
}

// grantsOf returns the grant types that a policy is for.
func grantsOf(p *subject.Policy) []string {
	if len(p.Grants) == 0 {
		return []string{grant.TokenExchangeType}
	}
	return p.Grants
}

// warnGrants logs which grants a client of a policy would need.
func warnGrants(logger *slog.Logger, p *subject.Policy, c *tokenep.Client) {
	if !slices.ContainsFunc(grantsOf(p), c.May) {
		logger.Warn("a client of a policy may not use the grant that the policy is for: give it the grant, or take it out of clients",
			"policy", p.Name, "client", c.ID, "grants", namesOf(grantsOf(p)))
	}
	if p.RefreshToken && !c.May(grant.RefreshTokenType) {
		logger.Warn("a client of a policy gets no refresh token by it, since it may not use the grant refresh_token: give it the grant, or leave out refresh_token",
			"policy", p.Name, "client", c.ID)
	}
	if c.Public() && !p.AllowPublic {
		logger.Warn("a client of a policy is public, and gets nothing by it without allow_public", "policy", p.Name, "client", c.ID)
	}
}

// warnReach logs what a policy gives that none of its clients may have: the token would have no
// scope, or be refused.
func warnReach(logger *slog.Logger, p *subject.Policy, clients []*tokenep.Client, config *server.Config) {
	targets := func(names []string) []string {
		switch {
		case len(names) > 0:
			return names
		case len(config.Audience) > 0:
			return config.Audience
		}
		return []string{config.Issuer}
	}
	nobody := func(shares func(c *tokenep.Client) bool) bool { return !slices.ContainsFunc(clients, shares) }
	if len(p.Scope) > 0 && nobody(func(c *tokenep.Client) bool { return len(p.Scope.Intersect(c.Scope)) > 0 }) {
		logger.Warn("the scope of a policy has nothing in common with that of its clients: give it to them, or name other clients",
			"policy", p.Name, "scope", p.Scope.String(), "clients", p.Clients)
	}
	if nobody(func(c *tokenep.Client) bool { return shareOne(targets(p.Audience), targets(c.Audience)) }) {
		logger.Warn("the audience of a policy has nothing in common with that of its clients: give it to them, or name other clients",
			"policy", p.Name, "audience", targets(p.Audience), "clients", p.Clients)
	}
}

func shareOne(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}

// warnUnasked logs that an introspection endpoint is not asked about the JWTs of its issuer, by
// which the source is named: whoever verifies those knows them, and nobody else is shown them.
func warnUnasked(logger *slog.Logger, asked *subject.Source, sources []*subject.Source) {
	grants := func(s *subject.Source) (all []string) {
		for i := range s.Policies {
			all = append(all, grantsOf(&s.Policies[i])...)
		}
		return all
	}
	for _, s := range sources {
		if asked.Issuer == nil && s.Issuer != nil && s.Form() == subject.FormOther && s.Issuer.Name == asked.Name && shareOne(grants(s), grants(asked)) {
			logger.Warn("the introspection endpoint is not asked about JWTs of its issuer, which subject jwt takes: "+
				"it is asked about opaque tokens alone; if it is to be asked about all, remove subject jwt", "issuer", asked.Name)
		}
	}
}
