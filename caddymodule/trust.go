package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// TrustedIssuer is an authorization server elsewhere whose tokens are good here.
type TrustedIssuer struct {
	// The issuer identifier: iss must be the same bytes. Required.
	Issuer string `json:"issuer"`

	// A file with its JWK Set (RFC 7517 §5). It is read again when it changes; a broken new version leaves the old one in force. Required.
	JWKSFile string `json:"jwks_file,omitempty"`

	// What this resource is called by that issuer. Default: the audience of the handler.
	Audience []string `json:"audience,omitempty"`

	// The algorithms that are taken, of those that its keys are for. Default: all of them.
	Algorithms []string `json:"algorithms,omitempty"`

	// The values of typ that are taken. Default: at+jwt alone (RFC 9068 §4). An issuer that does not follow that RFC may need JWT; its ID tokens can then
	// pass for access tokens unless the audience tells them apart.
	Types []string `json:"types,omitempty"`

	// Take tokens without kid, if the issuer has one key only. Default: false.
	AllowMissingKID bool `json:"allow_missing_kid,omitempty"`
}

// trusted returns every issuer that the guard trusts, and remembers the server of this process among them.
func (g *Guard) trusted(ctx caddy.Context) ([]verify.TrustedIssuer, error) {
	audience, err := resolveAll("audience", g.Audience)
	if err != nil {
		return nil, err
	}
	var issuers []verify.TrustedIssuer
	if g.Server != "" || len(g.Issuers) == 0 {
		s, err := configuredServer(ctx, g.Server)
		if errors.Is(err, caddy.ErrNotConfigured) {
			return nil, errors.New("no issuer is trusted: configure the global option oauth_server, or an issuer with a jwks_file")
		}
		if err != nil {
			return nil, err
		}
		own := s.core.Trusted()
		own.Audience, own.InsecureAnyAudience = audience, g.InsecureAnyAudience
		issuers = append(issuers, own)
		g.server, g.label = s, s.name
	}
	for _, t := range g.Issuers {
		if t == nil {
			return nil, errors.New("an issuer without configuration")
		}
		issuer, err := g.foreign(ctx, t, audience)
		if err != nil {
			return nil, err
		}
		issuers = append(issuers, issuer)
	}
	return issuers, nil
}

// foreign reads the keys of an issuer, so that a wrong file is known at once and not with the first request.
func (g *Guard) foreign(ctx caddy.Context, t *TrustedIssuer, audience []string) (issuer verify.TrustedIssuer, err error) {
	issuer = t.trust()
	issuer.Audience, issuer.InsecureAnyAudience = audience, g.InsecureAnyAudience
	if issuer.Name, err = resolve("issuer", t.Issuer); err != nil {
		return issuer, err
	}
	if len(t.Audience) > 0 {
		issuer.InsecureAnyAudience = false
		if issuer.Audience, err = resolveAll("audience", t.Audience); err != nil {
			return issuer, err
		}
	}
	path, err := resolve("jwks_file", t.JWKSFile)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", issuer.Name, err)
	}
	keys := verify.NewFileKeys(path, verify.FileKeysOptions{Logger: ctx.Slogger()})
	if err := keys.Load(); err != nil {
		return issuer, fmt.Errorf("issuer %s: %w", issuer.Name, err)
	}
	issuer.Keys = keys
	return issuer, nil
}

// trust returns what is known of the issuer without resolving placeholders, and without reading its keys.
func (t *TrustedIssuer) trust() verify.TrustedIssuer {
	return verify.TrustedIssuer{Name: t.Issuer, Algorithms: t.Algorithms, Types: t.Types, AllowMissingKeyID: t.AllowMissingKID}
}

var errNoAudience = errors.New("an audience is required, so that tokens for other resources are not taken here: " +
	"what this API is called in aud, such as https://api.example.com/orders")

// checkAudience wants each issuer to have an audience, its own or that of the handler.
func (g *Guard) checkAudience() error {
	if len(g.Audience) > 0 || g.InsecureAnyAudience {
		return nil
	}
	if g.Server != "" || len(g.Issuers) == 0 {
		return errNoAudience
	}
	for _, t := range g.Issuers {
		if t != nil && len(t.Audience) == 0 {
			return fmt.Errorf("issuer %s: %w", t.Issuer, errNoAudience)
		}
	}
	return nil
}

// sharedCacheKey is the place in the pool of the cache of guards that trust no server of this process.
type sharedCacheKey struct{}

// sharedCache is a cache of proven tokens, which needs no closing.
type sharedCache struct{ *verify.Cache }

// Destruct does nothing.
func (sharedCache) Destruct() error { return nil }

// cache returns the cache of proven tokens: that of the server, which puts into it what it mints, or else the one that all other guards share.
func (g *Guard) cache() *verify.Cache {
	if g.server != nil {
		return g.server.shared.memory.Cache
	}
	value, _, _ := pool.LoadOrNew(sharedCacheKey{}, func() (caddy.Destructor, error) { // it cannot fail
		return sharedCache{verify.NewCache(server.CachedTokens, time.Now)}, nil
	})
	g.cached = true
	return value.(sharedCache).Cache
}
