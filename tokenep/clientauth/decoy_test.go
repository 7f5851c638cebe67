package clientauth

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 6749 §10.10: for an id that no client has, a signature is verified all the same, whatever the
// algorithm. It is wrong; the key is not.
func TestDecoyKeys(t *testing.T) {
	const audience = "https://as.example"
	issuer := verifytest.New("nobody", audience, verify.Algorithms()...)
	for _, name := range verify.Algorithms() {
		a, err := verify.ParseAssertion(issuer.Sign(verifytest.Claims{"sub": "nobody"}, verifytest.Algorithm(name), verifytest.Header("typ", nil)))
		if err != nil {
			t.Fatal(err)
		}
		err = a.Check(t.Context(), verify.AssertionRules{
			Issuer: "nobody", Keys: decoyKeys{}, Types: []string{""}, Audience: []string{audience}, MaxLife: time.Hour, Now: time.Now(),
		})
		if err == nil || !strings.Contains(err.Error(), "the signature does not verify") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
