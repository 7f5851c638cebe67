package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// What a token came of is read from the claims grant_id and ancestors, in the form in which an
// Ancestor is written. In another form it is refused where tokens can be revoked, and means nothing
// elsewhere.
func TestLineage(t *testing.T) {
	issuer := newIssuer()
	verifier := func(set *verify.Revocations) *verify.Verifier {
		trusted := issuer.Trust()
		trusted.Revocations = set
		v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: issuer.Now})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	with, without := verifier(new(verify.Revocations)), verifier(nil)
	object := func(members ...any) map[string]any {
		o := map[string]any{}
		for i := 0; i < len(members); i += 2 {
			o[members[i].(string)] = members[i+1]
		}
		return o
	}
	for _, c := range []struct {
		name   string
		claims verifytest.Claims
		good   bool
	}{
		{"none", nil, true},
		{"a grant", verifytest.Claims{"grant_id": "g"}, true},
		{"an ancestor by jti", verifytest.Claims{"ancestors": []any{object("jti", "a")}}, true},
		{"an ancestor by grant_id", verifytest.Claims{"ancestors": []any{object("grant_id", "a")}}, true},
		{"an ancestor by client_id", verifytest.Claims{"ancestors": []any{object("client_id", "a")}}, true},
		{"an ancestor by sub", verifytest.Claims{"ancestors": []any{object("sub", "a", "iat", 1)}}, true},
		{"an empty list", verifytest.Claims{"ancestors": []any{}}, true},

		{"an empty grant", verifytest.Claims{"grant_id": ""}, false},
		{"a grant that is a number", verifytest.Claims{"grant_id": 1}, false},
		{"a grant with a line feed", verifytest.Claims{"grant_id": "a\nb"}, false},
		{"no list", verifytest.Claims{"ancestors": "a"}, false},
		{"an empty ancestor", verifytest.Claims{"ancestors": []any{object()}}, false},
		{"an ancestor that is a string", verifytest.Claims{"ancestors": []any{"a"}}, false},
		{"an ancestor with iat alone", verifytest.Claims{"ancestors": []any{object("iat", 1)}}, false},
		{"an ancestor with an empty jti", verifytest.Claims{"ancestors": []any{object("jti", "", "sub", "a")}}, false},
		{"an ancestor with an odd iat", verifytest.Claims{"ancestors": []any{object("jti", "a", "iat", "1")}}, false},
		{"an ancestor with an iat without end", verifytest.Claims{"ancestors": []any{object("jti", "a", "iat", 1e300)}}, false},
		{"an ancestor with another member", verifytest.Claims{"ancestors": []any{object("jti", "a", "azp", "b")}}, false},
		{"the second one is odd", verifytest.Claims{"ancestors": []any{object("jti", "a"), object()}}, false},
	} {
		p := verify.Presentation{Token: issuer.Sign(c.claims)}
		if _, err := with.Verify(t.Context(), p); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := without.Verify(t.Context(), p); err != nil {
			t.Errorf("%s, without revocations: %v", c.name, err)
		}
	}

	written := []verify.Ancestor{
		{ID: "a", GrantID: "b", ClientID: "c", Subject: "d", IssuedAt: time.Unix(1_800_000_000, 0), KeyID: "k"}, {GrantID: "e"},
	}
	text, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"jti":"a","iat":1800000000,"grant_id":"b","client_id":"c","sub":"d","kid":"k"},{"grant_id":"e"}]`; string(text) != want {
		t.Errorf("written as %s, want %s", text, want)
	}
	var again []verify.Ancestor
	if err := json.Unmarshal(text, &again); err != nil || !slices.Equal(again, written) {
		t.Errorf("read again as %+v, %v", again, err)
	}
	if err := json.Unmarshal([]byte(`[{"azp":"b"}]`), &again); err == nil {
		t.Error("an ancestor that says nothing is read")
	}
	own, err := with.Verify(t.Context(), verify.Presentation{Token: issuer.Sign(nil)})
	if err != nil {
		t.Fatal(err)
	}
	written[0].KeyID = own.Header.KeyID // the key "k" is gone
	text = bytes.ReplaceAll(text, []byte(`"k"`), []byte(`"`+own.Header.KeyID+`"`))
	read, err := with.Verify(t.Context(), verify.Presentation{Token: issuer.Sign(verifytest.Claims{"ancestors": json.RawMessage(text), "grant_id": "g"})})
	if err != nil || !slices.Equal(read.Ancestors, written) || read.GrantID != "g" {
		t.Errorf("read as %+v, %v", read, err)
	}
}

// RFC 8693 §4.1: an act that does not say who acts is not taken for none.
func TestActorOfAnotherForm(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		acts   bool
	}{
		"none":      {nil, false},
		"an object": {map[string]any{"act": map[string]any{"sub": "a"}}, true},
		"a string":  {map[string]any{"act": "a"}, true},
		"a list":    {map[string]any{"act": []any{"a"}}, true},
	} {
		if actor := (&verify.Token{Claims: c.claims}).Actor(); (actor != nil) != c.acts {
			t.Errorf("%s: %v", name, actor)
		}
	}
}

// oneKey is a key set that has the same key for every kid and algorithm.
type oneKey struct{ crypto.PublicKey }

func (k oneKey) Key(context.Context, string, string) (crypto.PublicKey, error) {
	return k.PublicKey, nil
}

// A kid has at most 256 bytes, and an RSA key at most 8192 bits (RFC 7515 §4.1.4, RFC 8725 §3.5),
// whatever a key set takes: what is longer costs too much.
func TestLimitsOfKeys(t *testing.T) {
	issuer := verifytest.New("https://issuer.example", "https://api.example", "ES256", "RS256")
	issuer.Now = newIssuer().Now
	reason := func(key crypto.PublicKey, options ...verifytest.Option) string {
		trusted := issuer.Trust()
		trusted.Keys = oneKey{key}
		verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: issuer.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = verifier.Verify(t.Context(), verify.Presentation{Token: issuer.Sign(nil, options...)}); err != nil {
			return err.Error()
		}
		return "ok"
	}
	key, err := issuer.KeySet().Key(t.Context(), "ES256", "ES256")
	if err != nil {
		t.Fatal(err)
	}
	bits := func(n uint) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1)), E: 65537}
	}
	for name, c := range map[string]struct{ got, want string }{
		"kid of 256 bytes": {reason(key, verifytest.Header("kid", strings.Repeat("k", 256))), "ok"},
		"kid of 257 bytes": {reason(key, verifytest.Header("kid", strings.Repeat("k", 257))), "kid"},
		"RSA of 8192 bits": {reason(bits(8192), verifytest.Algorithm("RS256")), "signature"},
		"RSA of 8193 bits": {reason(bits(8193), verifytest.Algorithm("RS256")), "weak"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

// RFC 8725 §3.1: a key of another kind than the algorithm is for does not verify, whatever a key
// set says. The signatures here are good by the key.
func TestKeyOfAnotherKind(t *testing.T) {
	issuer := verifytest.New("https://issuer.example", "https://api.example", "RS256", "ES256", "EdDSA")
	issuer.Now = newIssuer().Now
	for _, made := range []string{"RS256", "ES256", "EdDSA"} {
		key, err := issuer.KeySet().Key(t.Context(), made, made)
		if err != nil {
			t.Fatal(err)
		}
		trusted := issuer.Trust()
		trusted.Keys = oneKey{key}
		v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: issuer.Now})
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} {
			token := issuer.Sign(nil, verifytest.Algorithm(made), verifytest.Header("alg", said))
			if _, err := v.Verify(t.Context(), verify.Presentation{Token: token}); (err == nil) != (made == said) {
				t.Errorf("signed by %s, as %s: %v", made, said, err)
			}
		}
	}
}
