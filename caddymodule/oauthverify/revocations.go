package oauthverify

import (
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Revocations are those of an oauth_server in another process, which are followed in its store.
// They are in force here within a second, as in each process of that server. The store is read when
// the first token comes; until its revocations have been read once, the answer is 503. None is
// written.
type Revocations struct {
	// The store of that server: redis, postgres, or a module of another plugin. That of bolt is in
	// a file that one process alone can open. Required.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=oauth_server.stores inline_key=module"`

	// The name of that server. Default: "default".
	Server string `json:"server,omitempty"`

	// How long tokens are accepted while the store cannot be read, 5s at least; then the answer is
	// 503. Default: until they expire.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	follower *oauthserver.Follower
}

var errNoFrom = errors.New("revocation_server and revocation_max_age need revocations from <store>")

var errSecrets = errors.New("revocations from: an oauth_server signs by keys; remove hmac_secret")

// parseRevocations reads "revocations from <store> …".
func (i *Issuer) parseRevocations(d *caddyfile.Dispenser) error {
	const usage = "revocations takes the word from, and the store of the issuer, such as: revocations from redis redis://10.0.0.5/0"
	if !d.NextArg() || d.Val() != "from" || !d.NextArg() {
		return d.Err(usage)
	}
	name := d.Val()
	module, err := adapt.Module(d, oauthserver.StoreNamespace, name)
	if err != nil {
		return err
	}
	if err := oauthserver.CheckFollowed(module); err != nil {
		return d.Errf("revocations from %s: %w", name, err)
	}
	i.revocations().StoreRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

// revocations returns the options, and makes them if there are none.
func (i *Issuer) revocations() *Revocations {
	if i.Revocations == nil {
		i.Revocations = new(Revocations)
	}
	return i.Revocations
}

// check returns what is wrong with the options.
func (r *Revocations) check() error {
	if r == nil {
		return nil
	}
	if len(r.StoreRaw) == 0 {
		return errNoFrom
	}
	if r.Server != "" {
		return oauthserver.CheckName(r.Server)
	}
	return nil
}

// provision adds the revocations to the issuer.
func (r *Revocations) provision(ctx caddy.Context, issuer *verify.TrustedIssuer) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.MaxAge != 0 {
		if err := server.CheckRevocationMaxAge(time.Duration(r.MaxAge)); err != nil {
			return fmt.Errorf("max_age: %w", err)
		}
	}
	if len(issuer.Secrets) > 0 {
		return errSecrets
	}
	name := oauthserver.StoreModule(r.StoreRaw)
	module, err := ctx.LoadModule(r, "StoreRaw")
	if err == nil {
		r.follower, err = oauthserver.FollowRevocations(ctx, module, name, cmp.Or(r.Server, oauthserver.DefaultName))
	}
	if err != nil {
		return fmt.Errorf("revocations from %s: %w", name, err)
	}
	issuer.Revocations, issuer.RevocationMaxAge = r.follower.Set(), time.Duration(r.MaxAge)
	if keys := issuer.Keys; keys != nil {
		issuer.Keys = followedKeys{keys, r.follower}
	}
	if ask := issuer.Introspect; ask != nil {
		issuer.Introspect = func(ctx context.Context, token string) (*verify.Token, error) {
			if err := r.follower.Ready(); err != nil {
				return nil, err
			}
			return ask(ctx, token)
		}
	}
	return nil
}

// release gives back what is shared, once.
func (r *Revocations) release() error {
	if r == nil || r.follower == nil {
		return nil
	}
	follower := r.follower
	r.follower = nil
	return follower.Release()
}

// followedKeys has the keys of an issuer as soon as it is known what that has revoked. Before,
// whether a token is good is as unknown as without keys.
type followedKeys struct {
	verify.KeySet
	follower *oauthserver.Follower
}

// Key implements verify.KeySet.
func (k followedKeys) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	if err := k.follower.Ready(); err != nil {
		return nil, fmt.Errorf("the revocations of the issuer cannot be read: %w", err)
	}
	return k.KeySet.Key(ctx, kid, alg)
}

// HasKey reports whether the issuer has a key, since withdrawing one ends what came of its tokens:
// see verify.Ancestor.
func (k followedKeys) HasKey(ctx context.Context, kid string) (bool, error) {
	set, ok := k.KeySet.(interface {
		HasKey(context.Context, string) (bool, error)
	})
	if !ok {
		return true, nil
	}
	return set.HasKey(ctx, kid)
}

// parseRevocationOption reads the line at d if it is one of the options beside the store.
func (i *Issuer) parseRevocationOption(d *caddyfile.Dispenser, option string) (known bool, err error) {
	switch option {
	case "revocations":
		return true, i.parseRevocations(d)
	case "revocation_server":
		return true, adapt.One(d, &i.revocations().Server, oauthserver.CheckName)
	case "revocation_max_age":
		return true, adapt.Duration(d, &i.revocations().MaxAge, server.CheckRevocationMaxAge)
	}
	return false, nil
}
