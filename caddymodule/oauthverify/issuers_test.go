package oauthverify

import (
	"encoding/json"
	"errors"
	"maps"
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

// sample is a token of an issuer, without its kid. iat, nbf and exp are seconds from now.
type sample struct {
	Header map[string]any    `json:"header"`
	Claims verifytest.Claims `json:"claims"`

	Client string `json:"client"` // the claim that names the client; empty if none does
	Scope  string `json:"scope"`  // as it is read
	Reason string `json:"reason"` // of the refusal, in part
}

type samples struct {
	Accepted map[string]sample `json:"accepted"`
	Refused  map[string]sample `json:"refused"`
}

// TestIssuersPage requires that the lines of docs/issuers.md accept the access tokens of each
// issuer, and refuse its ID tokens. testdata/issuers has the headers and claims as the issuers make
// them.
func TestIssuersPage(t *testing.T) {
	page, err := os.ReadFile("../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n### ")[1:]
	files, err := filepath.Glob("testdata/issuers/*.json")
	if err != nil || len(files) != len(sections) || len(files) < 19 {
		t.Fatalf("%d sections and %d files (%v)", len(sections), len(files), err)
	}
	signer := verifytest.New("", "", "RS256")
	for _, section := range sections {
		title, text, _ := strings.Cut(section, "\n")
		name := strings.NewReplacer(" ", "_", ",", "", ".", "").Replace(strings.ToLower(title))
		t.Run(name, func(t *testing.T) {
			block := regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindStringSubmatch(text)
			if block == nil {
				t.Fatal("no lines for a Caddyfile")
			}
			samples := samplesIn(t, name+".json")
			issuer := trustedBy(t, block[1], signer)
			t.Run("accepted", func(t *testing.T) { accepts(t, issuer, signer, text, samples.Accepted) })
			t.Run("refused", func(t *testing.T) { refuses(t, issuer, signer, samples.Refused) })
		})
	}
}

// accepts requires that issuer accepts samples and reads their scope, that text says which claim
// names the client, and that no security event token is accepted (RFC 8417 §2.2). Where the token
// does not follow RFC 9068, the refusal under it must say what to write.
func accepts(t *testing.T, issuer verify.TrustedIssuer, signer *verifytest.Issuer, text string, samples map[string]sample) {
	asWritten, strict := verifierOf(t, issuer), verifierOf(t, verify.TrustedIssuer{
		Name: issuer.Name, Keys: issuer.Keys, Audience: issuer.Audience, AudienceClaim: issuer.AudienceClaim,
	})
	for name, s := range samples {
		presented := verify.Presentation{Token: s.sign(signer)}
		token, err := asWritten.Verify(t.Context(), presented)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if scope := strings.Join(token.Scope, " "); scope != s.Scope {
			t.Errorf("%s: the scope is read as %q, want %q", name, scope, s.Scope)
		}
		s.names(t, name, text)
		_, err = strict.Verify(t.Context(), presented)
		if refusal, ok := errors.AsType[*verify.Error](err); ok && refusal.Option == "" {
			t.Errorf("%s: no option for %v", name, err)
		}
		event := sample{Header: s.Header, Claims: maps.Clone(s.Claims)}
		event.Claims["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
		if _, err := asWritten.Verify(t.Context(), verify.Presentation{Token: event.sign(signer)}); err == nil {
			t.Errorf("%s: accepted with events", name)
		}
	}
}

// names requires that the claim that names the client does, and that text says so.
func (s sample) names(t *testing.T, name, text string) {
	if s.Client != "" {
		said := regexp.MustCompile(`client\s+(is\s+)?in\s[^.;:]*` + "`" + s.Client + "`").MatchString(text)
		if client, _ := s.Claims[s.Client].(string); client == "" || !said {
			t.Errorf("%s: the client is %q in %s, which the page must say", name, client, s.Client)
		}
		return
	}
	for _, claim := range [...]string{"client_id", "azp", "cid", "appid"} {
		if s.Claims[claim] != nil {
			t.Errorf("%s: %s names the client", name, claim)
		}
	}
}

// refuses requires that issuer refuses samples, each for its reason.
func refuses(t *testing.T, issuer verify.TrustedIssuer, signer *verifytest.Issuer, samples map[string]sample) {
	v := verifierOf(t, issuer)
	for name, s := range samples {
		_, err := v.Verify(t.Context(), verify.Presentation{Token: s.sign(signer)})
		if err == nil || s.Reason == "" || !strings.Contains(err.Error(), s.Reason) {
			t.Errorf("%s: got %v, want %q", name, err, s.Reason)
		}
	}
}

func samplesIn(t *testing.T, file string) (s samples) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/issuers", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil || len(s.Accepted) == 0 || len(s.Refused) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	return s
}

// trustedBy returns the issuer of a block in a Caddyfile, with the keys of signer.
func trustedBy(t *testing.T, block string, signer *verifytest.Issuer) verify.TrustedIssuer {
	t.Helper()
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("oauth_verify {\n" + block + "}")); err != nil {
		t.Fatal(err)
	}
	issuer := h.Issuers[0].Trust()
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
	claims := verifytest.Claims{"sub": nil, "aud": nil, "client_id": nil, "jti": nil, "iat": nil, "exp": nil}
	maps.Copy(claims, s.Claims)
	for _, date := range [...]string{"iat", "nbf", "exp"} {
		if seconds, ok := claims[date].(float64); ok {
			claims[date] = time.Now().Unix() + int64(seconds)
		}
	}
	options := []verifytest.Option{verifytest.Header("typ", nil)}
	for name, value := range s.Header {
		options = append(options, verifytest.Header(name, value))
	}
	return signer.Sign(claims, options...)
}
