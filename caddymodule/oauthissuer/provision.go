package oauthissuer

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Provision returns the issuer with its keys. Where it has no audience of its own, the caller sets
// one. Cleanup must be called in the end, also after an error.
func (t *TrustedIssuer) Provision(ctx caddy.Context) (issuer verify.TrustedIssuer, err error) {
	if err := t.CheckKeys(); err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", t.Issuer, err)
	}
	return t.ProvisionAsked(ctx)
}

// ProvisionAsked is Provision of an issuer that is asked about its tokens, and need have no keys.
func (t *TrustedIssuer) ProvisionAsked(ctx caddy.Context) (issuer verify.TrustedIssuer, err error) {
	if err := t.checkLists(); err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", t.Issuer, err)
	}
	issuer = t.Trust()
	if issuer.Name, err = adapt.Resolve("issuer", t.Issuer); err != nil {
		return issuer, err
	}
	if len(t.Audience) > 0 {
		if issuer.Audience, err = adapt.ResolveAudience(t.Audience); err != nil {
			return issuer, err
		}
	}
	if len(t.HMACSecrets) > 0 {
		return issuer, t.provisionSecrets(ctx, &issuer)
	}
	if !t.NamesKeys() {
		return issuer, nil
	}
	if issuer.Keys, err = t.keys(ctx, issuer.Name); err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", issuer.Name, err)
	}
	return issuer, nil
}

// provisionSecrets adds the secrets of the issuer.
func (t *TrustedIssuer) provisionSecrets(ctx caddy.Context, issuer *verify.TrustedIssuer) error {
	if err := t.checkKeys(); err != nil {
		return fmt.Errorf("issuer %s: %w", issuer.Name, err)
	}
	for _, configured := range t.HMACSecrets {
		adapt.WarnLiteral(adapt.Warnings(ctx, "issuer", issuer.Name), "hmac_secret", configured)
		secret, err := adapt.Resolve("hmac_secret", configured)
		if err != nil {
			return fmt.Errorf("issuer %s: %w", issuer.Name, err)
		}
		issuer.Secrets = append(issuer.Secrets, []byte(secret))
	}
	return nil
}

// keys returns the keys of the issuer of that name. It loads a file, so that a wrong one is an
// error now and not at the first request. It fetches nothing: the configuration loads while the
// issuer is away.
func (t *TrustedIssuer) keys(ctx caddy.Context, name string) (verify.KeySet, error) {
	if err := t.checkKeys(); err != nil {
		return nil, err
	}
	switch {
	case len(t.JWKS) > 0:
		keys, dropped, err := t.inline()
		for _, reason := range dropped {
			adapt.Warnings(ctx, "issuer", name).Warn("key left out of the key set", "reason", reason)
		}
		return keys, err
	case t.JWKSFile == "":
		return t.fetched(ctx, name)
	}
	path, err := adapt.Resolve("jwks_file", t.JWKSFile)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, err
	}
	keys := verify.NewFileKeys(path, verify.FileKeysOptions{Logger: ctx.Slogger()})
	if err := keys.Load(); err != nil {
		return nil, adapt.Of("jwks_file", fmt.Errorf("jwks_file: %w", err))
	}
	return keys, nil
}

var errNoInline = errors.New("jwks: there is no key in it that can be used")

// inline returns the keys of jwks.
func (t *TrustedIssuer) inline() (keys verify.KeySet, dropped []error, err error) {
	set, dropped, err := verify.ParseKeySet(t.JWKS)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("jwks: %w", err)
	case set.Len() == 0:
		return nil, nil, errors.Join(append([]error{errNoInline}, dropped...)...)
	}
	return set, dropped, nil
}

// fetched returns keys that are at a URL.
func (t *TrustedIssuer) fetched(ctx caddy.Context, name string) (verify.KeySet, error) {
	addresses, err := verify.ParseAddresses(t.KeyAddresses)
	if err != nil {
		return nil, fmt.Errorf("key_addresses: %w", err)
	}
	if t.JWKSURI != "" {
		uri, err := adapt.Resolve("jwks_uri", t.JWKSURI, verify.CheckJWKSURI)
		if err != nil {
			return nil, err
		}
		return t.share.Fetcher().Keys(uri, addresses, ctx.Slogger())
	}
	document := ""
	if t.DiscoveryURL != "" {
		if document, err = adapt.Resolve("discovery", t.DiscoveryURL, verify.CheckDiscoveryURL); err != nil {
			return nil, err
		}
	}
	return t.share.Fetcher().Discover(name, document, addresses, ctx.Slogger())
}

// Cleanup gives back what the issuer shares with others.
func (t *TrustedIssuer) Cleanup() error { return t.share.Cleanup() }
