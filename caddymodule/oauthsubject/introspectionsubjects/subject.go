package introspectionsubjects

import (
	"cmp"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/introspection"
)

func init() { caddy.RegisterModule(new(Subject)) }

// Subject is another authorization server whose tokens become access tokens of this one. They may
// be of any form: the other server is asked about each (RFC 7662). It must call it active, and must
// not say that it is bound to a key, or expired. The policies see all the members of its answer.
type Subject struct {
	oauthsubject.Asked

	remote.Introspection

	// The iss of its tokens: an answer with another one is refused. Default: iss is not looked at.
	Issuer string `json:"issuer,omitempty"`

	// Names of which aud must have one, so that no token for another service is taken. Required,
	// unless insecure_any_audience is set.
	Audience []string `json:"audience,omitempty"`

	// Take tokens for any service. Default: false.
	InsecureAnyAudience bool `json:"insecure_any_audience,omitempty"`

	// The token type identifier by which clients say that they send such a token. Default:
	// urn:ietf:params:oauth:token-type:access_token, which is also that of the tokens of this
	// server; the other one is not asked about those.
	TokenType string `json:"token_type,omitempty"`

	introspection *subject.Introspection
}

// CaddyModule returns the Caddy module information.
func (*Subject) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.subjects.introspection",
		New: func() caddy.Module { return new(Subject) },
	}
}

// Extend adds the other server to this one. No request is made: it need not be there for the
// configuration to load.
func (s *Subject) Extend(c *server.Config) (err error) {
	if err := s.checkOptions(); err != nil {
		return fmt.Errorf("introspection: %w", err)
	}
	o := s.options(s.Introspection.Options())
	if o.Options, err = s.Introspection.Resolve(c.Logger); err != nil {
		return err
	}
	if s.Issuer != "" {
		if o.Issuer, err = adapt.Resolve("introspection: issuer", s.Issuer); err != nil {
			return err
		}
	}
	if o.Audience, err = adapt.ResolveAudience(s.Audience); err != nil {
		return err
	}
	if o.Connection, err = s.Asked.Resolve("introspection", o.URL); err != nil {
		return err
	}
	o.Answers, o.Answers.Now = s.Answers(), c.Now
	policies, err := oauthsubject.Policies(s.Policies)
	if err == nil {
		s.introspection, err = subject.NewIntrospection(o)
	}
	if err != nil {
		return fmt.Errorf("introspection %s: %w", verify.ShownURL(s.URL), err)
	}
	if s.InsecureHTTP {
		c.Logger.Warn("insecure_http: tokens and a secret cross the network in clear on the way to the introspection endpoint", "url", s.introspection.Name())
	}
	if s.InsecureAnyAudience {
		c.Logger.Warn("insecure_any_audience: tokens for any service are exchanged", "source", s.introspection.Name())
	}
	c.Subjects = append(c.Subjects, &subject.Source{
		Name: s.introspection.Name(), Types: []string{cmp.Or(s.TokenType, grant.AccessTokenType)},
		Prove: s.introspection.Prove, Policies: policies,
	})
	return nil
}

// Cleanup closes connections that wait for another request.
func (s *Subject) Cleanup() error {
	if s.introspection != nil {
		s.introspection.Close()
	}
	return nil
}

// options returns the options over those of the endpoint.
func (s *Subject) options(endpoint introspection.Options) subject.IntrospectionOptions {
	endpoint.Issuer, endpoint.Connection, endpoint.Answers = s.Issuer, s.Connection.Options(), s.Answers()
	return subject.IntrospectionOptions{
		Options: endpoint, Audience: s.Audience, InsecureAnyAudience: s.InsecureAnyAudience, Address: adapt.ClientAddress,
	}
}

// checkOptions refuses what would mean nothing.
func (s *Subject) checkOptions() error {
	if len(s.Policies) == 0 {
		return oauthsubject.ErrNoPolicy
	}
	if s.TokenType != "" {
		return oauthsubject.CheckTokenType(s.TokenType)
	}
	return nil
}

// Interface guards.
var (
	_ caddy.CleanerUpper    = (*Subject)(nil)
	_ oauthserver.Extension = (*Subject)(nil)
)
