package oauthverify

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// sample is a token of an issuer, without the times in it.
type sample struct {
	Header map[string]any    `json:"header"`
	Claims verifytest.Claims `json:"claims"`
}

// TestIssuersPage requires that the lines of docs/issuers.md accept the access tokens of each
// issuer, and refuse its ID tokens. testdata/issuers has the headers and claims as the issuers make
// them.
func TestIssuersPage(t *testing.T) {
	page, err := os.ReadFile("../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := regexp.MustCompile("(?s)\n### ([^\n]+)\n.*?```caddyfile\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	files, err := filepath.Glob("testdata/issuers/*.json")
	if err != nil || len(files) != len(sections) || len(files) < 17 {
		t.Fatalf("%d sections and %d files (%v)", len(sections), len(files), err)
	}
	signer := verifytest.New("", "", "RS256")
	for _, section := range sections {
		name := strings.NewReplacer(" ", "_", ",", "", ".", "").Replace(strings.ToLower(section[1]))
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata/issuers", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var samples struct {
				Accepted map[string]sample `json:"accepted"`
				Refused  map[string]sample `json:"refused"`
			}
			if err := json.Unmarshal(text, &samples); err != nil || len(samples.Accepted) == 0 || len(samples.Refused) == 0 {
				t.Fatalf("no samples: %v", err)
			}
			issuer := trustedBy(t, section[2], signer)
			asWritten, strict := verifierOf(t, issuer), verifierOf(t, verify.TrustedIssuer{
				Name: issuer.Name, Keys: issuer.Keys, Audience: issuer.Audience, AudienceClaim: issuer.AudienceClaim,
			})
			for name, s := range samples.Accepted {
				token := verify.Presentation{Token: s.sign(signer)}
				if _, err := asWritten.Verify(t.Context(), token); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				_, err := strict.Verify(t.Context(), token)
				if refusal, ok := errors.AsType[*verify.Error](err); ok && refusal.Option == "" {
					t.Errorf("%s: no option for %v", name, err)
				}
			}
			for name, s := range samples.Refused {
				if _, err := asWritten.Verify(t.Context(), verify.Presentation{Token: s.sign(signer)}); err == nil {
					t.Errorf("%s was accepted", name)
				}
			}
		})
	}
}

// trustedBy returns the issuer of a block in a Caddyfile, with the keys of signer.
func trustedBy(t *testing.T, block string, signer *verifytest.Issuer) verify.TrustedIssuer {
	t.Helper()
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth_verify {\n" + block + "}")); err != nil {
		t.Fatal(err)
	}
	issuer := h.Issuers[0].trust()
	issuer.Audience, issuer.Keys = h.Issuers[0].Audience, signer.KeySet()
	return issuer
}

func verifierOf(t *testing.T, issuer verify.TrustedIssuer) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{issuer}, Cache: verify.NewCache(100, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sign returns the token of s, issued now, without the claims that verifytest adds.
func (s sample) sign(signer *verifytest.Issuer) string {
	now := time.Now().Unix()
	claims := verifytest.Claims{"sub": nil, "aud": nil, "client_id": nil, "jti": nil, "iat": now, "nbf": now, "exp": now + 3600}
	for name, value := range s.Claims {
		claims[name] = value
	}
	options := []verifytest.Option{verifytest.Header("typ", nil)}
	for name, value := range s.Header {
		options = append(options, verifytest.Header(name, value))
	}
	return signer.Sign(claims, options...)
}
