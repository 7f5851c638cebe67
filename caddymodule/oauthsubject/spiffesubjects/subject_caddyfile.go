package spiffesubjects

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject"
	"github.com/tokenep/caddy-tokenep/verify"
)

// UnmarshalCaddyfile reads a trust domain, and the policies for its workloads. Syntax:
//
//	subject spiffe <trust domain> {
//	    bundle_file      <path>
//	    bundle_uri       <url>
//	    bundle_addresses <addresses…>
//	    audience         <values…>
//	    policy <name> { … }
//	}
//
// One of bundle_file and bundle_uri is required. audience is what aud of its tokens must have.
// Default: this server. policy may be repeated: see oauthsubject.ParsePolicy.
func (s *Subject) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if err := adapt.One(d, &s.TrustDomain, checkDomain); err != nil {
		return err
	}
	block := *d // stays where the block begins
	if err := adapt.Block(d, func(option string) error { return s.parse(d, option) }, "policy"); err != nil {
		return err
	}
	err := s.checkBundle()
	if err == nil && len(s.Policies) == 0 {
		err = oauthsubject.ErrNoPolicy
	}
	if err != nil {
		return block.Errf("subject spiffe %s: %w", s.TrustDomain, err)
	}
	return nil
}

func (s *Subject) parse(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "bundle_file":
		return adapt.One(d, &s.BundleFile)
	case "bundle_uri":
		return adapt.One(d, &s.BundleURI, verify.CheckBundleURI)
	case "bundle_addresses":
		return adapt.Addresses(d, &s.BundleAddresses)
	case "audience":
		return adapt.Audience(d, &s.Audience)
	case "policy":
		return oauthsubject.ParsePolicy(d, &s.Policies)
	}
	return adapt.Unknown(d)
}
