package verifytest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Issuer signs tokens. Its fields may be changed before use.
type Issuer struct {
	Name     string           // iss
	Audience string           // aud, and the audience of Verifier
	Now      func() time.Time // the clock of tokens and of Verifier

	keys []*key
}

// Claims are members of the payload of a token. A nil value leaves the member out.
type Claims map[string]any

// New returns an issuer with one key for each algorithm: ES256, ES384, ES512, RS256 … PS512 or
// EdDSA. Without algorithms it has one key, for ES256. The kid of a key is the name of its
// algorithm, so two issuers have the same kids.
func New(name, audience string, algorithms ...string) *Issuer {
	if len(algorithms) == 0 {
		algorithms = []string{"ES256"}
	}
	i := &Issuer{Name: name, Audience: audience, Now: time.Now}
	for _, algorithm := range algorithms {
		i.keys = append(i.keys, newKey(algorithm))
	}
	return i
}

// Sign returns a token with these claims and defaults for the rest: sub "alice", client_id
// "client", a random jti, iat now, exp in an hour, and the issuer's iss and aud.
func (i *Issuer) Sign(claims Claims, options ...Option) string {
	now := i.Now().Unix()
	payload := Claims{
		"iss": i.Name, "sub": "alice", "aud": i.Audience, "client_id": "client",
		"iat": now, "exp": now + 3600, "jti": rand.Text(),
	}
	maps.Copy(payload, claims)
	draft := &draft{key: i.keys[0], issuer: i, header: map[string]any{"typ": "at+jwt"}}
	for _, option := range options {
		option(draft)
	}
	return draft.compact(payload)
}

// Authorize puts a token into the Authorization header of r.
func (i *Issuer) Authorize(r *http.Request, claims Claims, options ...Option) {
	r.Header.Set("Authorization", "Bearer "+i.Sign(claims, options...))
}

// JWKS returns the JWK Set of the issuer (RFC 7517 §5).
func (i *Issuer) JWKS() []byte {
	set := jwk.NewSet()
	for _, k := range i.keys {
		public := must(jwk.FromRaw(k.signer.Public()))
		for name, value := range map[string]any{jwk.KeyIDKey: k.id, jwk.AlgorithmKey: k.algorithm, jwk.KeyUsageKey: "sig"} {
			check(public.Set(name, value))
		}
		check(set.AddKey(public))
	}
	return must(json.Marshal(set))
}

// KeySet returns the public keys of the issuer.
func (i *Issuer) KeySet() *verify.StaticKeys {
	keys, dropped, err := verify.ParseKeySet(i.JWKS())
	check(err)
	for _, err := range dropped {
		check(err)
	}
	return keys
}

// Trust returns the entry in a [verify.Config] that trusts this issuer.
func (i *Issuer) Trust() verify.TrustedIssuer {
	return verify.TrustedIssuer{Name: i.Name, Keys: i.KeySet(), Audience: []string{i.Audience}}
}

// Verifier returns a verifier that trusts this issuer, without cache and leeway.
func (i *Issuer) Verifier() *verify.Verifier {
	return must(verify.New(verify.Config{Issuers: []verify.TrustedIssuer{i.Trust()}, Now: i.Now}))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic("verifytest: " + err.Error())
	}
}
