package oauthverify

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// TrustedIssuer is an authorization server elsewhere, whose tokens are accepted.
type TrustedIssuer struct {
	// The issuer identifier. iss must be equal to it, byte for byte. Required.
	Issuer string `json:"issuer"`

	// A file with its JWK Set (RFC 7517 §5). It is read again when it changes; while the new
	// version is broken, the old one stays in use. Required.
	JWKSFile string `json:"jwks_file,omitempty"`

	// The names of this resource in tokens of the issuer. Default: the audience of the handler.
	Audience []string `json:"audience,omitempty"`

	// The algorithms that are accepted, of those that its keys are for. Default: all of them.
	Algorithms []string `json:"algorithms,omitempty"`

	// The values of typ that are accepted. Default: at+jwt alone (RFC 9068 §4). An issuer that does
	// not follow that RFC may need JWT; then an ID token is accepted as an access token, unless its
	// audience is another.
	Types []string `json:"types,omitempty"`

	// Accept tokens without kid, if the issuer has only one key. Default: false.
	AllowMissingKID bool `json:"allow_missing_kid,omitempty"`
}

// trusted returns the issuers that the handler trusts. If the server of this process is one of
// them, it sets h.server.
func (h *Handler) trusted(ctx caddy.Context) ([]verify.TrustedIssuer, error) {
	audience, err := adapt.ResolveAll("audience", h.Audience)
	if err != nil {
		return nil, err
	}
	var issuers []verify.TrustedIssuer
	if h.Server != "" || len(h.Issuers) == 0 {
		s, err := oauthserver.Lookup(ctx, h.Server)
		if errors.Is(err, caddy.ErrNotConfigured) {
			return nil, errors.New("no issuer is trusted: configure the global option oauth_server, or an issuer with a jwks_file")
		}
		if err != nil {
			return nil, err
		}
		own := s.Server().Trusted()
		own.Audience, own.InsecureAnyAudience = audience, h.InsecureAnyAudience
		issuers = append(issuers, own)
		h.server, h.label = s, s.Name()
	}
	for _, t := range h.Issuers {
		if t == nil {
			return nil, errors.New("an issuer must not be null")
		}
		issuer, err := h.foreign(ctx, t, audience)
		if err != nil {
			return nil, err
		}
		issuers = append(issuers, issuer)
	}
	return issuers, nil
}

// foreign returns an issuer that is not in this process. It loads the keys, so that a wrong file is
// an error now and not at the first request.
func (h *Handler) foreign(ctx caddy.Context, t *TrustedIssuer, audience []string) (issuer verify.TrustedIssuer, err error) {
	issuer = t.trust()
	issuer.Audience, issuer.InsecureAnyAudience = audience, h.InsecureAnyAudience
	if issuer.Name, err = adapt.Resolve("issuer", t.Issuer); err != nil {
		return issuer, err
	}
	if len(t.Audience) > 0 {
		issuer.InsecureAnyAudience = false
		if issuer.Audience, err = adapt.ResolveAll("audience", t.Audience); err != nil {
			return issuer, err
		}
	}
	path, err := adapt.Resolve("jwks_file", t.JWKSFile)
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

// trust returns the issuer without resolving placeholders and without its keys.
func (t *TrustedIssuer) trust() verify.TrustedIssuer {
	return verify.TrustedIssuer{Name: t.Issuer, Algorithms: t.Algorithms, Types: t.Types, AllowMissingKeyID: t.AllowMissingKID}
}

var errNoAudience = errors.New("an audience is required, so that tokens for other resources are not accepted: " +
	"the name of this API in aud, such as https://api.example.com/orders")

// checkAudience returns an error if an issuer has no audience, neither its own nor that of the
// handler.
func (h *Handler) checkAudience() error {
	if len(h.Audience) > 0 || h.InsecureAnyAudience {
		return nil
	}
	if h.Server != "" || len(h.Issuers) == 0 {
		return errNoAudience
	}
	for _, t := range h.Issuers {
		if t != nil && len(t.Audience) == 0 {
			return fmt.Errorf("issuer %s: %w", t.Issuer, errNoAudience)
		}
	}
	return nil
}

// pool holds what outlives a reload: the cache that guards share which trust no server of this
// process.
var pool = caddy.NewUsagePool()

// sharedCacheKey is the key of that cache.
type sharedCacheKey struct{}

// sharedCache is a cache of verified tokens.
type sharedCache struct{ *verify.Cache }

// Destruct does nothing: a cache holds only memory.
func (sharedCache) Destruct() error { return nil }

// cache returns the cache of verified tokens. It is that of the server of this process, which adds
// the tokens that it issues, or else the one that all other guards share.
func (h *Handler) cache() *verify.Cache {
	if h.server != nil {
		return h.server.Server().Config.Memory.Cache
	}
	// It cannot fail.
	value, _, _ := pool.LoadOrNew(sharedCacheKey{}, func() (caddy.Destructor, error) {
		return sharedCache{verify.NewCache(server.CachedTokens, time.Now)}, nil
	})
	h.cached = true
	return value.(sharedCache).Cache
}
