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
	ID        string // the JWK thumbprint of the public key (RFC 7638, SHA-256, base64url), or what its file says
	Algorithm string // the "alg" of RFC 7518 §3.1 it is bound to

	private crypto.Signer
	public  crypto.PublicKey
	sign    func(key crypto.Signer, message []byte) ([]byte, error)
	header  string
	jwk     jwk.Key // the public members
}

// Public returns an *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey. It is
// the same pointer on each call, for as long as the key is in the ring.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Header returns the JOSE header of an access token signed by this key, in
// base64url: alg, kid, and the typ "at+jwt" of RFC 9068 §2.1.
func (k *Key) Header(string) string { return k.header }

// AppendSignature signs an RFC 7515 §5.1 signing input (header "." payload, both
// base64url) and appends the signature, in base64url, to dst. The input may be
// part of dst: it is read before anything is written.
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

// newKey binds a private key to an algorithm, and computes once what each token
// needs. Its id is the thumbprint of its public key unless another is given.
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
	k.header, err = encodeHeader(k)
	return k, err
}

func encodeHeader(k *Key) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{k.Algorithm, k.ID, "at+jwt"})
	if err != nil {
		return "", fmt.Errorf("keys: header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(header), nil
}
