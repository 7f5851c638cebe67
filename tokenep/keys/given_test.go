package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/verify"
)

func fileOf(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signing.key")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemOf(t *testing.T, k *Key) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// jwkOf returns the private JWK of k with these members set, or removed if they are nil.
func jwkOf(t *testing.T, k *Key, members map[string]any) string {
	t.Helper()
	private, err := jwk.FromRaw(k.private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	text, err = json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFileIsBoundToOneAlgorithm(t *testing.T) {
	k := each(t)
	legacy := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(k["RS256"].private.(*rsa.PrivateKey))
	for name, tc := range map[string]struct {
		content, preferred, want string
		kid                      string // the thumbprint, if empty
	}{
		"P-256":                              {pemOf(t, k["ES256"]), "", "ES256", ""},
		"P-384":                              {pemOf(t, k["ES384"]), "", "ES384", ""},
		"P-521":                              {pemOf(t, k["ES512"]), "RS256", "ES512", ""},
		"RSA":                                {pemOf(t, k["RS256"]), "", "RS256", ""},
		"RSA, PSS preferred":                 {pemOf(t, k["RS256"]), "PS256", "PS256", ""},
		"RSA, PKCS #1":                       {legacy("RSA PRIVATE KEY", pkcs1), "", "RS256", ""},
		"Ed25519":                            {pemOf(t, k["EdDSA"]), "", "EdDSA", ""},
		"Ed25519 under its own name":         {pemOf(t, k["EdDSA"]), "Ed25519", "Ed25519", ""},
		"JWK without alg":                    {jwkOf(t, k["ES256"], nil), "", "ES256", ""},
		"JWK with alg":                       {jwkOf(t, k["RS256"], map[string]any{"alg": "PS384"}), "RS256", "PS384", ""},
		"JWK with the alg of RFC 9864":       {jwkOf(t, k["EdDSA"], map[string]any{"alg": "Ed25519"}), "", "Ed25519", ""},
		"JWK with kid and use":               {jwkOf(t, k["ES256"], map[string]any{"kid": "2026", "use": "sig"}), "", "ES256", "2026"},
		"JWK with key_ops":                   {jwkOf(t, k["ES256"], map[string]any{"key_ops": []string{"sign"}}), "", "ES256", ""},
		"parameters in front, as by ecparam": {legacy("EC PARAMETERS", []byte{6, 0}) + pemOf(t, k["ES256"]), "", "ES256", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadFile(fileOf(t, tc.content), tc.preferred)
			if err != nil {
				t.Fatal(err)
			}
			if got.Algorithm != tc.want {
				t.Errorf("bound to %s, want %s", got.Algorithm, tc.want)
			}
			if same := slices.ContainsFunc(slices.Collect(maps.Values(k)), func(o *Key) bool { return o.ID == got.ID }); tc.kid == "" && !same {
				t.Errorf("the kid %s is no thumbprint of ours", got.ID)
			}
			if tc.kid != "" && got.ID != tc.kid {
				t.Errorf("the kid is %s, want %s", got.ID, tc.kid)
			}
		})
	}
}

func TestFileThatHoldsNoSigningKeyIsRefused(t *testing.T) {
	k := each(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(k["ES256"].Public())
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, headers map[string]string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der}))
	}
	other, err := generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	var foreign map[string]any
	if err := json.Unmarshal([]byte(jwkOf(t, other, nil)), &foreign); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ content, says string }{
		"empty":                  {"", "expected a private key"},
		"something else":         {"hello", "expected a private key"},
		"a public key":           {block("PUBLIC KEY", nil, public), "expected a private key"},
		"a certificate":          {block("CERTIFICATE", nil, public), "expected a private key"},
		"a public JWK":           {jwkOf(t, k["ES256"], map[string]any{"d": nil}), "expected a private key"},
		"a symmetric JWK":        {`{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODw"}`, "expected a private key"},
		"a key set":              {`{"keys":[` + jwkOf(t, k["ES256"], nil) + `]}`, "a file of its own"},
		"broken JSON":            {`{"kty":`, "not a JWK"},
		"PKCS #8 with a secret":  {block("ENCRYPTED PRIVATE KEY", nil, public), "openssl pkey"},
		"PEM with a secret":      {block("EC PRIVATE KEY", map[string]string{"DEK-Info": "AES-128-CBC,00", "Proc-Type": "4,ENCRYPTED"}, public), "openssl pkey"},
		"broken DER":             {block("PRIVATE KEY", nil, public), "cannot be parsed"},
		"two keys":               {pemOf(t, k["ES256"]) + pemOf(t, k["ES384"]), "two keys"},
		"a small RSA key":        {block("RSA PRIVATE KEY", nil, x509.MarshalPKCS1PrivateKey(small)), "1024 bits"},
		"for encryption":         {jwkOf(t, k["ES256"], map[string]any{"use": "enc"}), "must be sig"},
		"for verifying":          {jwkOf(t, k["ES256"], map[string]any{"key_ops": []string{"verify"}}), `must include "sign"`},
		"alg of another curve":   {jwkOf(t, k["ES256"], map[string]any{"alg": "ES384"}), "not a key for ES384"},
		"alg of a symmetric key": {jwkOf(t, k["ES256"], map[string]any{"alg": "HS256"}), `unknown algorithm "HS256"`},
		"halves of two keys":     {jwkOf(t, k["ES256"], map[string]any{"x": foreign["x"], "y": foreign["y"]}), "two different keys"},
		"a kid too long":         {jwkOf(t, k["ES256"], map[string]any{"kid": strings.Repeat("k", 257)}), "256 bytes"},
		"a large file":           {strings.Repeat(" ", 1<<17), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			path := fileOf(t, tc.content)
			_, err := ReadFile(path, "")
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want an error with the path and %q", err, tc.says)
			}
			if d, _ := foreign["d"].(string); strings.Contains(err.Error(), d) {
				t.Error("the error shows a private member")
			}
		})
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none.pem"), ""); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("got %v, want an error about none.pem", err)
	}
}

func giving(keys ...*Key) func(*Options) { return func(o *Options) { o.Given = keys } }

// pair returns two keys that were read from files.
func pair(t *testing.T) (a, b *Key) {
	t.Helper()
	k := each(t)
	a, err := ReadFile(fileOf(t, pemOf(t, k["ES256"])), "")
	if err != nil {
		t.Fatal(err)
	}
	b, err = ReadFile(fileOf(t, jwkOf(t, k["RS256"], map[string]any{"kid": "2027"})), "")
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestGivenKeysSignAndArePublished(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	a, b := pair(t)
	r := start(t, s, c, giving(a, b))
	if activeID(t, r) != a.ID || only(t, r, Standby).ID != b.ID || len(r.Current().List()) != 2 {
		t.Errorf("want the first active and the second on standby, have %+v", r.Current().List())
	}
	if !published(r, a.ID) || !published(r, b.ID) {
		t.Error("a given key is not published")
	}
	// Only a configuration replaces them, however late it is.
	c.Advance(400 * day)
	refresh(t, r)
	if err := r.Rotate(t.Context(), true); !errors.Is(err, ErrGiven) {
		t.Errorf("got %v, want ErrGiven", err)
	}
	if activeID(t, r) != a.ID {
		t.Error("the ring turned over")
	}
	if got := activeID(t, start(t, s, c, giving(b, a))); got != b.ID {
		t.Errorf("the next configuration signs with %s, want %s", got, b.ID)
	}
	if page, err := s.List(t.Context(), recordKind, "", "", 10); err != nil || len(page) != 0 {
		t.Errorf("given keys are in the store: %d records, %v", len(page), err)
	}
}

func TestPrivateMembersOfGivenKeysAreNotPublished(t *testing.T) {
	c := newClock()
	a, b := pair(t)
	body, _ := start(t, newStore(t, c), c, giving(a, b)).Current().JWKS()
	// ParseKeySet refuses a set with a private or symmetric key.
	if set, dropped, err := verify.ParseKeySet(body); err != nil || len(dropped) > 0 || set.Len() != 2 {
		t.Errorf("%v %v: %s", err, dropped, body)
	}
}

func TestGivenKeysAreTwoDifferentOnes(t *testing.T) {
	c := newClock()
	a, _ := pair(t)
	for name, keys := range map[string][]*Key{"twice": {a, a}, "nil": {a, nil}} {
		if _, err := New(Options{Store: newStore(t, c), Retain: retain, Given: keys}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTokensOfTheRingOutliveTheChangeToGivenKeys(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	ring := start(t, s, c, under("a"))
	if err := ring.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	signed := []string{only(t, ring, Active).ID, only(t, ring, Retired).ID}
	before := stringOf(t, s)

	a, b := pair(t)
	r := start(t, s, c, giving(a, b), under("a"))
	for _, kid := range signed {
		var key crypto.PublicKey
		key, err := r.Key(t.Context(), kid, "ES256")
		if err != nil || key == nil {
			t.Errorf("a token signed by %s before the change is refused: %v", kid, err)
		}
	}
	if life := r.Current().TokenLife(c.Now()); life != retain {
		t.Errorf("tokens live for %s, want %s", life, retain)
	}
	if stringOf(t, s) != before {
		t.Error("the stored ring was changed, which other processes may still use")
	}
	c.Advance(30*day + retain)
	refresh(t, r)
	for _, kid := range signed {
		if published(r, kid) {
			t.Errorf("%s is published for ever", kid)
		}
	}
	if err := startErr(t, s, c, giving(a, b), under("b")); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("got %v, want ErrSealed", err)
	}
	// And back: the ring continues where it stopped.
	back := start(t, s, c, under("a"))
	if kid := activeID(t, back); kid == a.ID || kid == b.ID {
		t.Error("a given key still signs")
	}
}
