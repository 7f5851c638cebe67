package keys

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// keysOfEach makes one key of each algorithm, once: RSA takes a while.
var keysOfEach = sync.OnceValues(func() (map[string]*Key, error) {
	out := map[string]*Key{}
	for _, alg := range Algorithms() {
		k, err := generate(alg)
		if err != nil {
			return nil, err
		}
		out[alg] = k
	}
	return out, nil
})

func each(t *testing.T) map[string]*Key {
	t.Helper()
	out, err := keysOfEach()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// RFC 7515 §4.1, RFC 9068 §2.1
func TestHeaderNamesAlgorithmKeyAndType(t *testing.T) {
	k, err := generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"at+jwt", "JWT"} {
		got, err := base64.RawURLEncoding.DecodeString(k.Header(typ))
		if want := `{"alg":"ES256","kid":"` + k.ID + `","typ":"` + typ + `"}`; err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

func TestHeaderOfAnAccessTokenIsEncodedOnce(t *testing.T) {
	k, err := generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = k.Header("at+jwt") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKeySetHoldsPublicMembersUnderTheirThumbprints(t *testing.T) {
	private := []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
	for alg, k := range each(t) {
		rec, keys := recordOf(t, k)
		s, err := newSet(rec, keys)
		if err != nil {
			t.Fatal(err)
		}
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(s.jwks, &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("%s: %s: %v", alg, s.jwks, err)
		}
		member := set.Keys[0]
		if member["kid"] != k.ID || member["use"] != "sig" || member["alg"] != alg {
			t.Errorf("%s: kid, use or alg is wrong in %s", alg, s.jwks)
		}
		for _, name := range private {
			if _, ok := member[name]; ok {
				t.Errorf("%s: the key set shows %q", alg, name)
			}
		}
		checkThumbprint(t, s.jwks, k.ID)
	}
}

// checkThumbprint parses the key set with another library and computes the thumbprint of RFC 7638.
func checkThumbprint(t *testing.T, jwks []byte, kid string) {
	t.Helper()
	set, err := jwk.Parse(jwks)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := set.Key(0)
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil || base64.RawURLEncoding.EncodeToString(sum) != kid {
		t.Errorf("kid %s is not the thumbprint of %s", kid, jwks)
	}
}

func TestStoredKeysComeBackAsTheyWere(t *testing.T) {
	for alg, k := range each(t) {
		_, keys := recordOf(t, k)
		data, err := encodeRing(keys)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeRing(data, nil)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if b := back[0].key; b.ID != k.ID || b.Algorithm != alg || b.Header("at+jwt") != k.Header("at+jwt") {
			t.Errorf("%s: came back as %s for %s", alg, b.ID, b.Algorithm)
		}
		known, err := decodeRing(data, map[string]*Key{k.ID: k})
		if err != nil || known[0].key != k {
			t.Errorf("%s: a key known already was parsed into another one (%v)", alg, err)
		}
	}
}

func TestStoredKeyUnderAWrongNameIsRefused(t *testing.T) {
	k, err := generate("ES256")
	if err != nil {
		t.Fatal(err)
	}
	_, keys := recordOf(t, k)
	data, err := encodeRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"kid of another key": {k.ID, "x"},
		"another algorithm":  {`"ES256"`, `"ES384"`},
		"unknown algorithm":  {`"ES256"`, `"HS256"`},
	} {
		changed := []byte(strings.ReplaceAll(string(data), change[0], change[1]))
		if _, err := decodeRing(changed, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeyAnswersToItsOwnAlgorithmOnly(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	r := start(t, s, c)
	ec := activeID(t, r)
	r = start(t, s, c, func(o *Options) { o.Algorithm = "EdDSA" })
	ed := only(t, r, Next).ID
	for _, tc := range []struct {
		rule, kid, alg string
		want           error
	}{
		{"active", ec, "ES256", nil},
		{"next is published too", ed, "EdDSA", nil},
		{"RFC 9864 §2.2: the other name of EdDSA", ed, "Ed25519", nil},
		{"another curve", ec, "ES384", verify.ErrUnknownKey},
		{"HMAC with the public key", ec, "HS256", verify.ErrUnknownKey},
		{"none", ec, "none", verify.ErrUnknownKey},
		{"no alg", ec, "", verify.ErrUnknownKey},
		{"unknown kid", "x", "ES256", verify.ErrUnknownKey},
		{"no kid among several keys", "", "ES256", verify.ErrUnknownKey},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			key, err := r.Key(t.Context(), tc.kid, tc.alg)
			if !errors.Is(err, tc.want) || (err == nil) != (key != nil) {
				t.Errorf("got %v, %v; want %v", key, err, tc.want)
			}
		})
	}
}

func TestRingThatWasNotStartedIsUnavailable(t *testing.T) {
	r, err := New(Options{Store: newStore(t, newClock()), Retain: retain})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Key(t.Context(), "x", "ES256"); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if body, tag := r.Current().JWKS(); string(body) != `{"keys":[]}` || tag != "" {
		t.Errorf("got %s %s, want an empty set without a tag", body, tag)
	}
	if l := r.Current().List(); len(l) != 0 {
		t.Errorf("got %v, want no keys", l)
	}
}

func TestPublicKeyStaysOnePointerAcrossRefreshes(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	a, b := start(t, s, c), start(t, s, c)
	kid := activeID(t, b)
	before, _ := b.Key(t.Context(), kid, "ES256")
	if err := a.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	refresh(t, b)
	if after, err := b.Key(t.Context(), kid, "ES256"); err != nil || after != before {
		t.Errorf("the key of a cached token became another object (%v)", err)
	}
}

// recordOf returns a ring of one active key, for newSet and encodeRing.
func recordOf(t *testing.T, k *Key) (store.Record, []entry) {
	t.Helper()
	now := newClock().Now()
	return store.Record{Kind: recordKind, ID: recordID}, []entry{{key: k, created: now, activated: now, retain: retain}}
}
