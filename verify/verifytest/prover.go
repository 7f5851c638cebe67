package verifytest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Prover is a client with a key for DPoP proofs (RFC 9449). Its Now may be changed before use.
type Prover struct {
	Now func() time.Time // the clock of proofs

	key *key
	jwk map[string]any // the public key
}

// NewProver returns a client with a new key for this algorithm: see [New].
func NewProver(algorithm string) *Prover {
	p := &Prover{Now: time.Now, key: newKey(algorithm)}
	text := must(json.Marshal(must(jwk.FromRaw(p.key.signer.Public()))))
	check(json.Unmarshal(text, &p.jwk))
	return p
}

// Thumbprint returns the thumbprint of the key (RFC 7638): cnf.jkt of a token that is bound to it.
func (p *Prover) Thumbprint() string {
	public := must(jwk.FromRaw(p.key.signer.Public()))
	return encode(must(public.Thumbprint(crypto.SHA256)))
}

// Proof returns a proof for a request with this method and URL, and for a token unless it is empty.
// claims replace those of the proof; a nil value leaves one out.
func (p *Prover) Proof(method, url, token string, claims Claims, options ...Option) string {
	payload := Claims{"jti": rand.Text(), "htm": method, "htu": url, "iat": p.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		payload["ath"] = encode(sum[:])
	}
	for name, value := range claims {
		payload[name] = value
	}
	draft := &draft{key: p.key, header: map[string]any{"typ": "dpop+jwt", "kid": nil, "jwk": p.jwk}}
	for _, option := range options {
		option(draft)
	}
	return draft.compact(payload)
}

// Authorize puts a token and a proof for it into r, whose URL is as the client calls it.
func (p *Prover) Authorize(r *http.Request, token string, claims Claims, options ...Option) {
	at := *r.URL
	at.RawQuery, at.Fragment = "", ""
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", p.Proof(r.Method, at.String(), token, claims, options...))
}

// JWK returns the public key of the proofs, as a proof has it.
func (p *Prover) JWK() map[string]any { return p.jwk }
