package kubernetessubjects

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
)

func init() { caddy.RegisterModule(new(Subject)) }

// Where the cluster puts what a pod needs to ask its API.
const (
	tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	caFile    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
)

// Subject is the service accounts of a Kubernetes cluster, whose tokens become access tokens of
// this server. The API of the cluster is asked about each (TokenReview of
// authentication.k8s.io/v1), so that the token of a pod that is gone is good no more; subject jwt
// is for those who have the keys of the cluster, and asks nobody. This server must be let do that,
// by the cluster role system:auth-delegator.
//
// Clients send the token as urn:ietf:params:oauth:token-type:jwt. The policies see sub, which is
// system:serviceaccount: with namespace and name; namespace and serviceaccount, which are these
// two; uid, groups, extra, aud; and of the token of a pod pod, pod_uid, node and jti, as far as the
// cluster says them.
type Subject struct {
	oauthsubject.Asked

	// The API of the cluster, https, without a path; http is for hosts on this machine.
	// Placeholders are resolved when the configuration is loaded. Default: that of the cluster that
	// this server runs in.
	URL string `json:"url,omitempty"`

	// Names of which a token must have one, such as the issuer of this server: pods ask for it by
	// the audience of a projected volume. Required.
	Audience []string `json:"audience,omitempty"`

	// The file with the token by which the API knows this server. It is read for each request,
	// since the cluster renews it. Default: /var/run/secrets/kubernetes.io/serviceaccount/token.
	TokenFile string `json:"token_file,omitempty"`

	review *subject.TokenReview
}

// CaddyModule returns the Caddy module information.
func (*Subject) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.subjects.kubernetes",
		New: func() caddy.Module { return new(Subject) },
	}
}

// Extend adds the cluster to a server. No request is made: its API need not be there for the
// configuration to load.
func (s *Subject) Extend(c *server.Config) (err error) {
	if len(s.Policies) == 0 {
		return fmt.Errorf("kubernetes: %w", oauthsubject.ErrNoPolicy)
	}
	o := s.options()
	if o.URL, err = s.url(); err != nil {
		return err
	}
	if o.Audience, err = adapt.ResolveAudience(s.Audience); err != nil {
		return err
	}
	if o.TokenFile, err = adapt.Resolve("kubernetes: token_file", o.TokenFile); err != nil {
		return err
	}
	if o.TokenFile, err = filepath.Abs(o.TokenFile); err != nil {
		return err
	}
	asked := s.Asked
	if s.URL == "" {
		asked.CA = cmp.Or(asked.CA, caFile)
	}
	if o.Connection, err = asked.Resolve("kubernetes", o.URL); err != nil {
		return err
	}
	o.Answers.Now = c.Now
	policies, err := oauthsubject.Policies(s.Policies)
	if err == nil {
		s.review, err = subject.NewTokenReview(o)
	}
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	c.Subjects = append(c.Subjects, &subject.Source{
		Name: s.review.Name(), Types: []string{grant.JWTType}, Prove: s.review.Prove, Policies: policies,
	})
	return nil
}

// url returns the URL of the API. In a pod its address is in the environment.
func (s *Subject) url() (string, error) {
	if s.URL != "" {
		return adapt.Resolve("kubernetes: url", s.URL)
	}
	host, err := adapt.Resolve("kubernetes: url", "{env.KUBERNETES_SERVICE_HOST}")
	if err != nil {
		return "", err
	}
	port, err := adapt.Resolve("kubernetes: url", "{env.KUBERNETES_SERVICE_PORT}")
	return "https://" + net.JoinHostPort(host, port), err
}

// Cleanup closes connections that wait for another request.
func (s *Subject) Cleanup() error {
	if s.review != nil {
		s.review.Close()
	}
	return nil
}

// options returns the options before their placeholders are resolved.
func (s *Subject) options() subject.TokenReviewOptions {
	return subject.TokenReviewOptions{
		URL: s.URL, Audience: s.Audience, TokenFile: cmp.Or(s.TokenFile, tokenFile), Connection: s.Options(), Answers: s.Answers(),
		Address: adapt.ClientAddress,
	}
}

// literal returns the options with something that is good in the place of placeholders.
func (s *Subject) literal() subject.TokenReviewOptions {
	o := s.options()
	if o.URL == "" || !adapt.IsLiteral(o.URL) {
		o.URL = "https://any.invalid/"
	}
	return o
}

// Interface guards.
var (
	_ caddy.CleanerUpper    = (*Subject)(nil)
	_ oauthserver.Extension = (*Subject)(nil)
)
