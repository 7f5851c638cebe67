package idjagsubjects

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthissuer"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() { caddy.RegisterModule(new(Subject)) }

// Subject is an identity provider whose identity assertion authorization grants (ID-JAG,
// draft-ietf-oauth-identity-assertion-authz-grant) become access tokens for its users: a client
// sends one as the assertion of the grant jwt_bearer. It must be for this server alone, for the
// client that sends it, live 5 minutes at most, and name a resource of ours; it is good once. The
// scope is what the request, the assertion, the policy and the client have in common.
//
// The issuer is trusted with ID-JAGs and nothing else.
type Subject struct {
	oauthissuer.TrustedIssuer

	// The longest life that is accepted, from iat to exp, 1h at most. Default: 5m.
	MaxLife caddy.Duration `json:"max_life,omitempty"`

	// Let a client use an assertion more than once while it is good. Default: false.
	AllowReplay bool `json:"allow_replay,omitempty"`

	// The client_ids by which the issuer knows clients that have another one here, and those here.
	// Default: none.
	ClientAliases map[string]string `json:"client_aliases,omitempty"`

	// What access tokens are for where an assertion names no resource, as those of Okta. Default:
	// such an assertion is refused.
	DefaultResource []string `json:"default_resource,omitempty"`

	// What comes of its assertions. The first policy that admits one decides. Required.
	Policies []*oauthsubject.Policy `json:"policies,omitempty"`

	ctx     caddy.Context
	trusted verify.TrustedIssuer
}

// maxLife is the greatest MaxLife.
const maxLife = time.Hour

// CaddyModule returns the Caddy module information.
func (*Subject) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.subjects.id_jag",
		New: func() caddy.Module { return new(Subject) },
	}
}

// Provision keeps the context, in which Extend finds the keys: of an error of this one Caddy keeps
// only the text.
func (s *Subject) Provision(ctx caddy.Context) error {
	s.ctx = ctx
	return nil
}

// Extend adds the issuer to a server. Keys at a URL are fetched when the first assertion comes.
func (s *Subject) Extend(c *server.Config) (err error) {
	if s.trusted, err = s.TrustedIssuer.Provision(s.ctx); err != nil {
		return fmt.Errorf("id_jag: %w", err)
	}
	policies, err := s.policies()
	if err != nil {
		return fmt.Errorf("id_jag %s: %w", s.Issuer, err)
	}
	rules := &subject.IDJAG{MaxLife: time.Duration(s.MaxLife), AllowReplay: s.AllowReplay, Clients: s.ClientAliases}
	if rules.Resource, err = adapt.ResolveAudience(s.DefaultResource); err != nil {
		return fmt.Errorf("id_jag %s: default_resource: %w", s.Issuer, err)
	}
	c.Subjects = append(c.Subjects, &subject.Source{Name: s.trusted.Name, Issuer: &s.trusted, IDJAG: rules, Policies: policies})
	return nil
}

var (
	errGrants  = errors.New("an ID-JAG is for the grant jwt_bearer alone; remove grants")
	errNobody  = errors.New("an ID-JAG names the client that sends it; clients none would admit nobody")
	errReach   = errors.New("audience is missing: the resources that access tokens may be for")
	errScope   = errors.New("scope is missing: an access token without any scope is refused")
	errProfile = errors.New("profile and types are those of an ID-JAG; remove them")
)

// policies returns the policies, which are for the one grant.
func (s *Subject) policies() ([]subject.Policy, error) {
	if s.Profile != "" || len(s.Types) > 0 {
		return nil, errProfile
	}
	if err := checkLife(time.Duration(s.MaxLife)); err != nil {
		return nil, fmt.Errorf("max_life: %w", err)
	}
	policies, err := oauthsubject.Policies(s.Policies)
	if err != nil {
		return nil, err
	}
	for i := range policies {
		p := &policies[i]
		failed := func(err error) error { return fmt.Errorf("policy %s: %w", p.Name, err) }
		switch {
		case len(p.Grants) > 0:
			return nil, failed(errGrants)
		case len(p.Clients) == 1 && p.Clients[0] == subject.NoClient:
			return nil, failed(errNobody)
		case len(p.Audience) == 0:
			return nil, failed(errReach)
		case len(p.Scope) == 0:
			return nil, failed(errScope)
		}
		p.Grants = []string{grant.JWTBearerType}
	}
	return policies, nil
}

// checkLife returns what is wrong with a MaxLife; 0 is the default.
func checkLife(d time.Duration) error {
	if d < 0 || d > maxLife {
		return fmt.Errorf("it must be %s at most, and is %s", maxLife, d)
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*Subject)(nil)
	_ caddy.CleanerUpper    = (*Subject)(nil)
	_ oauthserver.Extension = (*Subject)(nil)
)
