package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 7636 §4.2, §4.3, RFC 9700 §2.1.1: what a client may leave undone if it is registered so, at
// the authorization endpoint and in a pushed request.
func TestInsecurePKCE(t *testing.T) {
	const verifier = tokeneptest.Verifier
	plain := func(c *tokenep.Client) { c.InsecurePlainPKCE = true }
	none := func(c *tokenep.Client) { c.InsecureNoPKCE = true }
	for name, row := range map[string]struct {
		change            func(*tokenep.Client)
		challenge, method string
		good              bool
	}{
		"plain":                            {plain, verifier, "plain", true},
		"plain, which is the default":      {plain, verifier, "", true},
		"plain, and S256":                  {plain, tokeneptest.Challenge(verifier), "S256", true},
		"plain, and too short":             {plain, "short", "plain", false},
		"plain, and no challenge":          {plain, "", "", false},
		"plain, and another method":        {plain, verifier, "PLAIN", false},
		"none":                             {none, "", "", true},
		"none, and S256":                   {none, tokeneptest.Challenge(verifier), "S256", true},
		"none, and plain":                  {none, verifier, "plain", false},
		"none, and plain as the default":   {none, verifier, "", false},
		"none, and a method":               {none, "", "S256", false},
		"plain of a client that may not":   {func(*tokenep.Client) {}, verifier, "plain", false},
		"nothing of a client that may not": {func(*tokenep.Client) {}, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) { row.change(&c.Clients[len(c.Clients)-2]) })
			pairs := []string{"code_challenge", row.challenge, "code_challenge_method", row.method, "prompt", "consent"}
			if !row.good {
				if got := s.Send(t, authorize("site", pairs...)).Redirected(t, tokeneptest.Callback).Get("error"); got != "invalid_request" {
					t.Errorf("error %q", got)
				}
				s.Send(t, push("site", pairs...)).Refused(t, http.StatusBadRequest, tokenep.InvalidRequest)
				return
			}
			for _, ask := range []request{authorize("site", pairs...), s.Pushed(t, push("site", pairs...))} {
				code := s.Send(t, s.Consent(t, ask, "allow")).Redirected(t, tokeneptest.Callback).Get("code")
				redeem := tokeneptest.RedeemCode("site", code)
				bare := redeem
				bare.Body = strings.Replace(redeem.Body, url.Values{"code_verifier": {verifier}}.Encode(), "x=y", 1)
				right, wrong := redeem, bare
				if row.challenge == "" { // then somebody has taken it away (RFC 9700 §4.8.2)
					right, wrong = bare, redeem
				}
				s.Send(t, wrong).Refused(t, http.StatusBadRequest, tokenep.InvalidGrant)
				s.Granted(t, right)
			}
		})
	}
}
