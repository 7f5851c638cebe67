package endpoint_test

import (
	"crypto"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 7517 §5, §9.2: public members only; kid is the RFC 7638 thumbprint, so that no two keys share
// one.
func TestJWKS(t *testing.T) {
	f := tokeneptest.New(t)
	a := f.Send(t, get("/oauth/jwks"))
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
		a.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	set, err := jwk.Parse(a.Body)
	if err != nil || set.Len() != 2 {
		t.Fatalf("%v keys, %v; want one that signs and one that will", set, err)
	}
	for i := range set.Len() {
		key, _ := set.Key(i)
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil || key.KeyID() != base64.RawURLEncoding.EncodeToString(sum) {
			t.Errorf("kid %s is not the thumbprint, %v", key.KeyID(), err)
		}
		if key.Algorithm().String() != "ES256" || key.KeyUsage() != "sig" {
			t.Errorf("alg %s, use %s", key.Algorithm(), key.KeyUsage())
		}
	}
	for _, keys := range a.JSON["keys"].([]any) {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
			if _, there := keys.(map[string]any)[private]; there {
				t.Errorf("the key set has the private member %s", private)
			}
		}
	}
	if _, token := f.Granted(t, plain.By("billing")); !strings.Contains(string(a.Body), token.Header.KeyID) {
		t.Error("the key of a token is not published")
	}

	// RFC 9110 §13.1.2: a verifier that has the current set gets 304, also through a proxy that
	// weakened the tag.
	etag := a.Header.Get("ETag")
	for match, want := range map[string]int{etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200} {
		b := f.Send(t, get("/oauth/jwks").With("If-None-Match", match))
		if b.Status != want || want == 304 && (len(b.Body) != 0 || b.Header.Get("ETag") != etag || b.Header.Get("Cache-Control") == "") {
			t.Errorf("If-None-Match %s: %d %v", match, b.Status, b.Header)
		}
	}
	// A key that was rotated by hand stays published for the tokens that it signed. The set with
	// the new keys has another tag.
	b, token := f.Granted(t, plain.By("billing"))
	if err := f.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	after := f.Send(t, get("/oauth/jwks").With("If-None-Match", etag))
	if after.Status != http.StatusOK || !strings.Contains(string(after.Body), token.Header.KeyID) || len(after.JSON["keys"].([]any)) != 3 {
		t.Errorf("after a rotation: %d %s", after.Status, after.Body)
	}
	if _, err := f.Verify(t, b.AccessToken()); err != nil {
		t.Errorf("a token from before the rotation: %v", err)
	}
	if _, next := f.Granted(t, plain.By("billing")); next.Header.KeyID == token.Header.KeyID {
		t.Error("the retired key still signs")
	}
}

// A retired key stays published for as long as a verifier may accept the last token that it signed.
func TestJWKSOutlivesTokens(t *testing.T) {
	f := tokeneptest.New(t)
	v := f.NewVerifier(t, func(c *verify.Config) { c.Leeway = verify.MaxLeeway })
	last, _ := f.Granted(t, plain.By("billing"))
	if err := f.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(4*time.Hour + verify.MaxLeeway - time.Second)
	if err := f.Keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), verify.Presentation{Token: last.AccessToken()}); err != nil {
		t.Error(err)
	}
}
