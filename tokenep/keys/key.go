package keys

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Key is one signing key. It never changes, and may be used concurrently.
type Key struct {
	// ID is the JWK thumbprint of the public key (RFC 7638, SHA-256, base64url), or the kid that
	// its file names.
	ID string
	// Algorithm is the only "alg" (RFC 7518 §3.1) that the key is used with.
	Algorithm string

	private crypto.Signer
	public  crypto.PublicKey
	sign    func(key crypto.Signer, message []byte) ([]byte, error)
	header  string  // of an access token
	jwk     jwk.Key // the public members
}

// Public returns an *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey: the same pointer on each
// call, for as long as the key is in the ring.
func (k *Key) Public() crypto.PublicKey { return k.public }

// accessToken is the typ of RFC 9068 §2.1.
const accessToken = "at+jwt"

// Header returns the JOSE header of a token of this typ (RFC 7515 §4.1.9) that the key signs, in
// base64url: alg, kid and typ. That of an access token, "at+jwt", is encoded only once. Every other
// is encoded by each call: there is one such token in a login, and signing it takes far longer.
func (k *Key) Header(typ string) string {
	if typ == accessToken {
		return k.header
	}
	return encodeHeader(k.Algorithm, k.ID, typ)
}

// AppendSignature signs an RFC 7515 §5.1 signing input (header "." payload, both base64url) and
// appends the signature, in base64url, to dst. The input may be a part of dst: it is read before
// anything is written.
func (k *Key) AppendSignature(dst, signingInput []byte) ([]byte, error) {
	signature, err := k.sign(k.private, signingInput)
	if err != nil {
		return dst, fmt.Errorf("keys: sign with %s: %w", k.ID, err)
	}
	return base64.RawURLEncoding.AppendEncode(dst, signature), nil
}

// generate makes a new key of the named algorithm.
func generate(name string) (*Key, error) {
	private, err := algorithms[name].generate()
	if err != nil {
		return nil, fmt.Errorf("keys: generate %s: %w", name, err)
	}
	return newKey(name, private, "")
}

// newKey binds a private key to an algorithm, and computes in advance what every token needs. The
// id is the thumbprint of the public key if it is "".
func newKey(name string, private crypto.Signer, id string) (*Key, error) {
	a, ok := algorithms[name]
	if !ok {
		return nil, fmt.Errorf("keys: unknown algorithm %q", name)
	}
	if !a.fits(private) {
		return nil, fmt.Errorf("keys: a %T is not a key for %s", private, name)
	}
	public, err := jwk.FromRaw(private.Public())
	if err != nil {
		return nil, fmt.Errorf("keys: public JWK: %w", err)
	}
	if id == "" {
		thumbprint, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("keys: thumbprint: %w", err)
		}
		id = base64.RawURLEncoding.EncodeToString(thumbprint)
	}
	k := &Key{
		ID:        id,
		Algorithm: name,
		private:   private,
		public:    private.Public(),
		sign:      a.sign,
		jwk:       public,
	}
	for member, value := range map[string]string{
		jwk.KeyIDKey: k.ID, jwk.KeyUsageKey: "sig", jwk.AlgorithmKey: name,
	} {
		if err := public.Set(member, value); err != nil {
			return nil, fmt.Errorf("keys: JWK member %s: %w", member, err)
		}
	}
	k.header = encodeHeader(name, id, accessToken)
	return k, nil
}

func encodeHeader(alg, kid, typ string) string {
	header, _ := json.Marshal(struct { // strings always have a JSON form
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{alg, kid, typ})
	return base64.RawURLEncoding.EncodeToString(header)
}
