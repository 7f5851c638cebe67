package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

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

// TestSignaturesAreVerifiedByAnotherLibrary covers RFC 7518 §3.3–3.5 and RFC 8037 §3.1.
func TestSignaturesAreVerifiedByAnotherLibrary(t *testing.T) {
	for alg, k := range each(t) {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			for range 20 { // an r or s has leading zeros now and then
				token := signed(t, k, `{"sub":"a"}`)
				known := jwa.SignatureAlgorithm(verify.CanonicalAlgorithm(alg))
				if _, err := verifyToken(token, alg, known, k.Public()); err != nil {
					t.Fatalf("%s: %v", token, err)
				}
			}
		})
	}
}

func signed(t testing.TB, k *Key, payload string) string {
	t.Helper()
	buf := []byte(k.Header("at+jwt") + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)))
	out, err := k.AppendSignature(append(buf, '.'), buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// verifyToken verifies with jwx. That does not know the name Ed25519, so under that name the parts
// are verified and the header is not read.
func verifyToken(token, alg string, known jwa.SignatureAlgorithm, public crypto.PublicKey) ([]byte, error) {
	if alg != "Ed25519" {
		return jws.Verify([]byte(token), jws.WithKey(known, public))
	}
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		return nil, err
	}
	v, err := jws.NewVerifier(known)
	if err != nil {
		return nil, err
	}
	return nil, v.Verify([]byte(token[:i]), signature, public)
}

func TestRFC7518_3_4_ECDSASignaturesHaveFixedWidth(t *testing.T) {
	for alg, size := range map[string]int{"ES256": 64, "ES384": 96, "ES512": 132} {
		k, err := generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 { // each message has another r and s
			raw, err := k.sign(k.private, fmt.Append(nil, "message ", i))
			if err != nil || len(raw) != size {
				t.Fatalf("%s: %d bytes (%v), want %d", alg, len(raw), err, size)
			}
		}
	}
}

// RFC 8725 §3.2; the messages and signatures are those of RFC 6979 §A.2.5 to §A.2.7.
func TestRFC6979_A_2_ECDSASignaturesAreDeterministic(t *testing.T) {
	for alg, tc := range map[string]struct {
		curve elliptic.Curve
		d     string
		want  string // of "sample": r and s
	}{
		"ES256": {elliptic.P256(), "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
			"EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716" +
				"F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"},
		"ES384": {elliptic.P384(), "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
			"94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46" +
				"99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8"},
		"ES512": {elliptic.P521(), "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466" +
			"F6D8FBEC67DB89EC0C08B0E996B83538",
			"00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8" +
				"455CC91F9B15BF05EC36E377FA" +
				"00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CC" +
				"B1DCCC43997F1EE0E44DA4A67A"},
	} {
		d, err := hex.DecodeString(tc.d)
		if err != nil {
			t.Fatal(err)
		}
		private, err := ecdsa.ParseRawPrivateKey(tc.curve, d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := algorithms[alg].sign(private, []byte("sample"))
		if want := strings.ToLower(tc.want); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x, %v; want %s", alg, got, err, want)
		}
	}
}

func TestRFC7518_3_4_IntegersAreRightAligned(t *testing.T) {
	for name, tc := range map[string]struct {
		der  []byte
		want string // of two 4-byte halves; "" is an error
	}{
		"short integers":         {[]byte{0x30, 6, 2, 1, 5, 2, 1, 7}, "\x00\x00\x00\x05\x00\x00\x00\x07"},
		"sign byte is dropped":   {[]byte{0x30, 10, 2, 5, 0, 0xff, 1, 2, 3, 2, 1, 7}, "\xff\x01\x02\x03\x00\x00\x00\x07"},
		"long form of length":    {[]byte{0x30, 0x81, 6, 2, 1, 5, 2, 1, 7}, "\x00\x00\x00\x05\x00\x00\x00\x07"},
		"integer too wide":       {[]byte{0x30, 10, 2, 5, 1, 2, 3, 4, 5, 2, 1, 7}, ""},
		"trailing byte":          {[]byte{0x30, 6, 2, 1, 5, 2, 1, 7, 0}, ""},
		"third integer":          {[]byte{0x30, 9, 2, 1, 5, 2, 1, 7, 2, 1, 1}, ""},
		"one integer":            {[]byte{0x30, 3, 2, 1, 5}, ""},
		"cut off":                {[]byte{0x30, 6, 2, 1, 5, 2, 1}, ""},
		"not a sequence":         {[]byte{0x31, 6, 2, 1, 5, 2, 1, 7}, ""},
		"no length":              {[]byte{0x30}, ""},
		"long length is missing": {[]byte{0x30, 0x81}, ""},
		"empty integer":          {[]byte{0x30, 5, 2, 0, 2, 1, 7}, ""},
		"nothing":                {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fixedWidth(tc.der, 4)
			if tc.want == "" {
				if err == nil {
					t.Fatalf("accepted as %x", got)
				}
				return
			}
			if err != nil || string(got) != tc.want {
				t.Errorf("got %x, %v; want %x", got, err, tc.want)
			}
		})
	}
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

// BenchmarkSign compares AppendSignature with the bare signature, in one run: of-signature is the
// ratio of their times, and should stay under 1.3.
func BenchmarkSign(b *testing.B) {
	k, err := generate("ES256")
	if err != nil {
		b.Fatal(err)
	}
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	input := []byte(k.Header("at+jwt") + "." + strings.Repeat("x", 400))
	digest := sha256.Sum256(input)
	buf := make([]byte, 0, 128)
	var ours, theirs time.Duration
	b.ReportAllocs()
	for b.Loop() {
		t0 := time.Now()
		if _, err := ecdsa.SignASN1(rand.Reader, raw, digest[:]); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if _, err := k.AppendSignature(buf, input); err != nil {
			b.Fatal(err)
		}
		theirs, ours = theirs+t1.Sub(t0), ours+time.Since(t1)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "of-signature")
}

// recordOf returns a ring of one active key, for newSet and encodeRing.
func recordOf(t *testing.T, k *Key) (store.Record, []entry) {
	t.Helper()
	now := newClock().Now()
	return store.Record{Kind: recordKind, ID: recordID}, []entry{{key: k, created: now, activated: now, retain: retain}}
}
