package oauthissuer

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// ParseOption reads the line at d if it is an option of an issuer, and says whether it is. Syntax:
//
//	jwks_file  <path>
//	jwks_uri   <url>
//	discovery  [<url>]
//	jwks       `<json>`
//	hmac_secret <secrets…>
//	key_addresses <addresses…>
//	audience   <values…>
//	algorithms <algs…>
//	audience_claim <name>
//	profile    rfc9068|jwt
//	types      <typs…>|none
//	require_claims <name[=value]…>
//	refuse_claims  <name[=value]…>|none
//	allow_missing_sub
//	allow_loose_scope
//	allow_odd_claims
//	allow_header_keys
//	allow_missing_kid
func (t *TrustedIssuer) ParseOption(d *caddyfile.Dispenser, option string) (known bool, err error) {
	if flag := t.flag(option); flag != nil {
		return true, adapt.Flag(d, flag)
	}
	switch option {
	case "jwks_file":
		return true, adapt.One(d, &t.JWKSFile)
	case "jwks_uri":
		return true, adapt.One(d, &t.JWKSURI, verify.CheckJWKSURI)
	case "discovery":
		return true, t.parseDiscovery(d)
	case "jwks":
		return true, t.parseJWKS(d)
	case "hmac_secret":
		return true, t.parseSecrets(d)
	case "key_addresses":
		return true, adapt.Addresses(d, &t.KeyAddresses)
	case "audience":
		return true, adapt.Audience(d, &t.Audience)
	case "algorithms":
		return true, adapt.Some(d, &t.Algorithms)
	case "types":
		return true, adapt.Some(d, &t.Types)
	case "audience_claim":
		return true, adapt.One(d, &t.AudienceClaim)
	case "profile":
		return true, adapt.Choice(d, &t.Profile, string(verify.ProfileRFC9068), string(verify.ProfileJWT))
	case "require_claims":
		return true, adapt.Some(d, &t.RequireClaims)
	case "refuse_claims":
		return true, adapt.Some(d, &t.RefuseClaims)
	default:
		return false, nil
	}
}

// parseJWKS reads the text of a JWK Set (RFC 7517 §5).
func (t *TrustedIssuer) parseJWKS(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 || !json.Valid([]byte(args[0])) {
		return d.Err("jwks takes the text of a JWK Set, between backticks; its URL goes into jwks_uri, the path of a file into jwks_file")
	}
	t.JWKS = json.RawMessage(args[0])
	_, _, err := t.inline()
	return adapt.Located(d, err)
}

// parseSecrets never puts a secret into an error.
func (t *TrustedIssuer) parseSecrets(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || slices.Contains(args, "") {
		return d.Err("hmac_secret takes the secrets of the issuer, such as {env.IDP_SECRET}")
	}
	t.HMACSecrets = args
	return nil
}

// parseDiscovery reads discovery, with or without the URL of the metadata.
func (t *TrustedIssuer) parseDiscovery(d *caddyfile.Dispenser) error {
	n := d.CountRemainingArgs()
	if n == 0 {
		t.Discovery = true
		return nil
	}
	if n > 1 {
		return d.Err("discovery takes one argument at most: the URL of the metadata, if it is at none of the well-known ones")
	}
	return adapt.One(d, &t.DiscoveryURL, verify.CheckDiscoveryURL)
}

// flag returns the option without arguments that has that name, or nil.
func (t *TrustedIssuer) flag(option string) *bool {
	switch option {
	case "allow_missing_sub":
		return &t.AllowMissingSub
	case "allow_loose_scope":
		return &t.AllowLooseScope
	case "allow_odd_claims":
		return &t.AllowOddClaims
	case "allow_header_keys":
		return &t.AllowHeaderKeys
	case "allow_missing_kid":
		return &t.AllowMissingKID
	}
	return nil
}
