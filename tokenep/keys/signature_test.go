package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/tokenep/caddy-tokenep/verify"
)

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
