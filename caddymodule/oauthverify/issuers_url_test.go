package oauthverify

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// keySetAs returns the key set of a signer as identity providers publish theirs: without alg, as
// Entra does, with certificates, beside a key for encryption, one of an unknown curve, and one that
// is no key.
func keySetAs(signer *verifytest.Issuer, kid string) string {
	key := strings.TrimSuffix(strings.TrimPrefix(string(signer.JWKS()), `{"keys":[`), `]}`)
	key = regexp.MustCompile(`"(kid|alg)":"[^"]*",?`).ReplaceAllString(key, "")
	key = strings.Replace(key, "{", fmt.Sprintf(`{"kid":%q,"x5t":"dGVzdA","x5c":["MIIB"],"issuer":"https://idp.example/","cloud_instance_name":"x",`, kid), 1)
	key = strings.Replace(key, ",}", "}", 1)
	encryption := strings.NewReplacer(`"kid":"`, `"kid":"enc-`, `"use":"sig"`, `"use":"enc"`).Replace(key)
	return `{"keys":[{"kty":"OKP","crv":"X448","kid":"x","x":"AAAA"},` + encryption + `,` + key + `,{"kty":"future","kid":"y"}]}`
}

// TestIssuersByURL takes the documented tokens of each issuer through a route whose keys are found
// by its metadata, while these are rotated (OpenID Connect Core §10.1.1).
func TestIssuersByURL(t *testing.T) {
	page, err := os.ReadFile("../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	first, second := verifytest.New("", "", "RS256"), verifytest.New("", "", "RS256")
	for _, section := range strings.Split(string(page), "\n### ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		name := strings.NewReplacer(" ", "_", ",", "", ".", "").Replace(strings.ToLower(title))
		t.Run(name, func(t *testing.T) {
			block := regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindStringSubmatch(text)
			issuer := trustedBy(t, block[1], first)
			var keys atomic.Pointer[string]
			serve := func(text string) { keys.Store(&text) }
			idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/metadata" {
					_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"http://%s/keys"}`, issuer.Name, r.Host)
					return
				}
				_, _ = w.Write([]byte(*keys.Load()))
			}))
			t.Cleanup(idp.Close)
			clock := verifytest.NewClock(time.Now())
			if issuer.Keys, err = verify.NewDiscoveredKeys(issuer.Name, idp.URL+"/metadata", verify.URLKeysOptions{Now: clock.Now}); err != nil {
				t.Fatal(err)
			}
			guard := &verify.Guard{Verifier: verifierOf(t, issuer)}
			status := func(s sample, signer *verifytest.Issuer, kid string) int {
				s.Header = maps.Clone(s.Header)
				if s.Header == nil {
					s.Header = make(map[string]any)
				}
				s.Header["kid"] = kid
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
				r.Header.Set("Authorization", "Bearer "+s.sign(signer))
				w := httptest.NewRecorder()
				guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
				return w.Code
			}
			samples := samplesIn(t, name+".json")
			expect := func(want int, signer *verifytest.Issuer, kid string) {
				t.Helper()
				for name, s := range samples.Accepted {
					if got := status(s, signer, kid); got != want {
						t.Errorf("%s, by key %s: %d, want %d", name, kid, got, want)
					}
				}
			}
			serve(keySetAs(first, "2026-1"))
			expect(http.StatusOK, first, "2026-1")
			expect(http.StatusUnauthorized, first, "enc-2026-1")
			clock.Advance(10 * time.Minute) // more than the least time from one fetch to the next
			serve(keySetAs(second, "2026-2"))
			expect(http.StatusOK, second, "2026-2")
			expect(http.StatusUnauthorized, first, "2026-1")
			expect(http.StatusUnauthorized, first, "2026-2")
			for name, s := range samples.Refused {
				if got := status(s, second, "2026-2"); got != http.StatusUnauthorized {
					t.Errorf("%s: %d, want 401", name, got)
				}
			}
		})
	}
}
