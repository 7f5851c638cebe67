package oauthissuer

import (
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Provision returns the issuer with its keys. Where it has no audience of its own, the caller sets
// one. Cleanup must be called in the end, also after an error.
func (t *TrustedIssuer) Provision(ctx caddy.Context) (issuer verify.TrustedIssuer, err error) {
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
	if issuer.Keys, err = t.keys(ctx, issuer.Name); err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", issuer.Name, err)
	}
	return issuer, nil
}

// keys returns the keys of the issuer of that name. It loads a file, so that a wrong one is an
// error now and not at the first request. It fetches nothing: the configuration loads while the
// issuer is away.
func (t *TrustedIssuer) keys(ctx caddy.Context, name string) (verify.KeySet, error) {
	if err := t.CheckKeys(); err != nil {
		return nil, err
	}
	if t.JWKSFile == "" {
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
	return keys, keys.Load()
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
		return t.fetcher().Keys(uri, addresses, ctx.Slogger())
	}
	document := ""
	if t.DiscoveryURL != "" {
		if document, err = adapt.Resolve("discovery", t.DiscoveryURL, verify.CheckDiscoveryURL); err != nil {
			return nil, err
		}
	}
	return t.fetcher().Discover(name, document, addresses, ctx.Slogger())
}

// pool holds what outlives a reload: the keys that were fetched.
var pool = caddy.NewUsagePool()

// fetcherKey is the key of the only value in it.
type fetcherKey struct{}

// sharedFetcher has the keys of all issuers that are at a URL.
type sharedFetcher struct{ *verify.Fetcher }

// Destruct does nothing: no connection is kept.
func (sharedFetcher) Destruct() error { return nil }

// fetcher returns what all modules fetch keys with, so that a URL is fetched once, and a new
// configuration goes on with the keys of the one before it.
func (t *TrustedIssuer) fetcher() *verify.Fetcher {
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(fetcherKey{}, func() (caddy.Destructor, error) {
		return sharedFetcher{verify.NewFetcher(verify.URLKeysOptions{})}, nil
	})
	t.held = true
	return value.(sharedFetcher).Fetcher
}

// Cleanup gives back what was taken from the pool, once.
func (t *TrustedIssuer) Cleanup() error {
	if !t.held {
		return nil
	}
	t.held = false
	_, err := pool.Delete(fetcherKey{})
	return err
}
