package jwtsubjects

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthissuer"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() { caddy.RegisterModule(new(Subject)) }

// Subject is an issuer elsewhere whose JWTs become access tokens of this server: another
// authorization server, or what gives CI jobs, services of a cluster or machines their identity.
// The tokens must be for this server: without an audience of its own, aud must have the issuer of
// this server, or the URL of its token endpoint.
type Subject struct {
	oauthissuer.TrustedIssuer

	// What comes of its tokens. The first policy that admits a token decides. Required.
	Policies []*oauthsubject.Policy `json:"policies,omitempty"`

	ctx     caddy.Context
	trusted verify.TrustedIssuer
}

// CaddyModule returns the Caddy module information.
func (*Subject) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.subjects.jwt",
		New: func() caddy.Module { return new(Subject) },
	}
}

// Provision keeps the context, in which Extend finds the keys: of an error of this one Caddy keeps
// only the text.
func (s *Subject) Provision(ctx caddy.Context) error {
	s.ctx = ctx
	return nil
}

// Extend adds the issuer to a server. Keys at a URL are fetched when the first token comes.
func (s *Subject) Extend(c *server.Config) (err error) {
	if s.trusted, err = s.TrustedIssuer.Provision(s.ctx); err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	policies, err := oauthsubject.Policies(s.Policies)
	if err != nil {
		return fmt.Errorf("jwt %s: %w", s.Issuer, err)
	}
	c.Subjects = append(c.Subjects, &subject.Source{Name: s.trusted.Name, Issuer: &s.trusted, Policies: policies})
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*Subject)(nil)
	_ caddy.CleanerUpper    = (*Subject)(nil)
	_ oauthserver.Extension = (*Subject)(nil)
)
