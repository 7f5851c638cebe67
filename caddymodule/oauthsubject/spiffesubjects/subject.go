package spiffesubjects

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthissuer"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() { caddy.RegisterModule(new(Subject)) }

// Subject is a SPIFFE trust domain whose JWT-SVIDs become access tokens of this server. The sub of
// such a token is the SPIFFE ID of a workload in this domain, it names a key of the bundle of the
// domain, and it is for this server: without an audience here, aud must have the issuer of this
// server, or the URL of its token endpoint. Its iss, if any, is not looked at.
type Subject struct {
	// The name of the trust domain, such as example.org: without spiffe://. Required.
	TrustDomain string `json:"trust_domain"`

	// A file with the bundle of the domain: a JWK Set whose keys for JWT-SVIDs have the use
	// jwt-svid. It is read again when it changes; while the new version is broken, the old one
	// stays in use. Required, unless there is a bundle_uri.
	BundleFile string `json:"bundle_file,omitempty"`

	// The URL of the bundle, which is https with a certificate of a known authority (the profile
	// https_web); http is for loopback hosts. It is fetched when the first token comes, every four
	// minutes or so while tokens come, and for a kid that is not known. While it cannot be fetched,
	// the last good version stays in use for a day. No redirect is followed, and no proxy used.
	// Required, unless there is a bundle_file.
	BundleURI string `json:"bundle_uri,omitempty"`

	// Special-use addresses (RFC 6890), or blocks of them such as 10.0.0.0/8, from which the bundle
	// may be fetched. Default: none, but those of the loopback interface for a URL on localhost.
	BundleAddresses []string `json:"bundle_addresses,omitempty"`

	// The names of this server in its tokens. Default: the issuer of this server, and the URL of
	// its token endpoint.
	Audience []string `json:"audience,omitempty"`

	// What comes of its tokens. The first policy that admits a token decides. Required.
	Policies []*oauthsubject.Policy `json:"policies,omitempty"`

	ctx     caddy.Context
	trusted verify.TrustedIssuer
	share   oauthissuer.Share
}

// CaddyModule returns the Caddy module information.
func (*Subject) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "oauth_server.subjects.spiffe",
		New: func() caddy.Module { return new(Subject) },
	}
}

// Provision keeps the context, in which Extend finds the keys: of an error of this one Caddy keeps
// only the text.
func (s *Subject) Provision(ctx caddy.Context) error {
	s.ctx = ctx
	return nil
}

func (s *Subject) trust(ctx caddy.Context) error {
	name, err := adapt.Resolve("trust_domain", s.TrustDomain, checkDomain)
	if err != nil {
		return err
	}
	if s.trusted, err = verify.TrustDomain(name); err != nil {
		return err
	}
	if len(s.Audience) > 0 {
		if s.trusted.Audience, err = adapt.ResolveAudience(s.Audience); err != nil {
			return err
		}
	}
	s.trusted.Keys, err = s.keys(ctx)
	return err
}

// keys returns the keys of the bundle. It loads a file, so that a wrong one is an error now.
func (s *Subject) keys(ctx caddy.Context) (verify.KeySet, error) {
	if err := s.checkBundle(); err != nil {
		return nil, err
	}
	if s.BundleURI != "" {
		addresses, err := verify.ParseAddresses(s.BundleAddresses)
		if err != nil {
			return nil, fmt.Errorf("bundle_addresses: %w", err)
		}
		uri, err := adapt.Resolve("bundle_uri", s.BundleURI, verify.CheckBundleURI)
		if err != nil {
			return nil, err
		}
		return s.share.Fetcher().Bundle(uri, addresses, ctx.Slogger())
	}
	path, err := adapt.Resolve("bundle_file", s.BundleFile)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, err
	}
	keys := verify.NewFileKeys(path, verify.FileKeysOptions{SPIFFE: true, Logger: ctx.Slogger()})
	return keys, adapt.Of("bundle_file", keys.Load())
}

// Cleanup gives back what the module shares with others.
func (s *Subject) Cleanup() error { return s.share.Cleanup() }

// Extend adds the trust domain to a server. Keys at a URL are fetched when the first token comes.
func (s *Subject) Extend(c *server.Config) error {
	if err := s.trust(s.ctx); err != nil {
		return fmt.Errorf("spiffe %s: %w", s.TrustDomain, err)
	}
	policies, err := oauthsubject.Policies(s.Policies)
	if err != nil {
		return fmt.Errorf("spiffe %s: %w", s.TrustDomain, err)
	}
	c.Subjects = append(c.Subjects, &subject.Source{Name: s.trusted.Name, Issuer: &s.trusted, SPIFFE: true, Policies: policies})
	return nil
}

var (
	errNoBundle  = errors.New("bundle_file or bundle_uri is missing: where the bundle of the trust domain is")
	errTwoBundle = errors.New("bundle_file and bundle_uri exclude each other")
)

// checkBundle returns an error unless it is said, once, where the bundle is.
func (s *Subject) checkBundle() error {
	switch {
	case s.BundleFile == "" && s.BundleURI == "":
		return errNoBundle
	case s.BundleFile != "" && s.BundleURI != "":
		return errTwoBundle
	}
	return nil
}

func checkDomain(name string) error {
	_, err := verify.TrustDomain(name)
	return err
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*Subject)(nil)
	_ caddy.CleanerUpper    = (*Subject)(nil)
	_ oauthserver.Extension = (*Subject)(nil)
)
