package verify_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// forwarded needs a header, of tokens that say so.
func forwarded(r *http.Request, t *verify.Token) error {
	if needed, _ := t.Claim("forwarded"); needed == true && r.Header.Get("X-Remote-User") == "" {
		return &verify.Error{Status: 403, Code: verify.AccessDenied}
	}
	return nil
}

// keyOf knows the credential of everybody but one.
func keyOf(_ *http.Request, t *verify.Token, _ string) (verify.Credential, error) {
	if t.Subject == "eve" {
		return verify.Credential{}, &verify.Error{Status: 403, Code: verify.AccessDenied}
	}
	return verify.NewCredential("key of "+t.Subject, ""), nil
}

// Inspect and Admit agree, and Inspect names every check that fails.
func TestGuardInspect(t *testing.T) {
	issuer := newIssuer()
	guard := &verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"read"}, AnyScope: verify.Scope{"eu", "us"},
		MCP: &verify.MCP{Tools: []verify.MCPScope{{Pattern: "get", Scope: verify.Scope{"get"}}}}, Rules: []verify.Rule{readOnly, fresh, forwarded}, Strip: []string{"X-Remote-User"},
		Headers: []verify.HeaderClaim{{Header: "X-Team", Claim: []string{"team"}}},
		Replace: &verify.Replacement{In: verify.InHeader, Name: "X-Api-Key", Credential: keyOf}}
	good := verifytest.Claims{"scope": "read eu get", "acr": "strong"}
	for _, c := range []struct {
		name, path, token string
		failed            []string
		skipped           bool
	}{
		{"good", "/mcp", issuer.Sign(good), nil, false},
		{"a path of another route", "/a/..;/b", issuer.Sign(good), []string{"path"}, false},
		{"no scope", "/mcp", issuer.Sign(verifytest.Claims{"acr": "strong"}), []string{"scope", "any scope", "MCP"}, false},
		{"a rule", "/mcp", issuer.Sign(verifytest.Claims{"scope": "read us get"}), []string{"rule 2"}, false},
		{"another audience", "/mcp", issuer.Sign(verifytest.Claims{"aud": "other", "scope": "read us get"}), []string{"audience", "rule 2"}, false},
		{"junk", "/mcp", "junk", []string{"form"}, true},
		{"what Admit removes", "/mcp", issuer.Sign(verifytest.Claims{"scope": "read eu get", "acr": "strong", "forwarded": true}), []string{"rule 3"}, false},
		{"no credential", "/mcp", issuer.Sign(verifytest.Claims{"scope": "read eu get", "acr": "strong", "sub": "eve"}), []string{"credential"}, false},
		{"a claim that fits no header", "/mcp", issuer.Sign(verifytest.Claims{"scope": "read eu get", "acr": "strong", "team": "a\nb"}), []string{"headers"}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = c.path
		if slices.Contains(c.failed, "MCP") {
			r.Method = "POST"
			r.Header = mcp("2026-07-28", "tools/call", "get")
			c.failed = append(c.failed, "rule 1")
		}
		r.Header.Set("X-Remote-User", "eve")
		_, checks := guard.Inspect(r, c.token)
		var failed []string
		skipped := false
		for _, check := range checks {
			if check.Err != nil {
				failed = append(failed, check.Name)
			}
			skipped = skipped || check.Skipped && check.Name != "credential"
		}
		if !slices.Equal(failed, c.failed) || skipped != c.skipped {
			t.Errorf("%s: %q, skipped %v", c.name, failed, skipped)
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		if _, err := guard.Admit(r); (err == nil) != (len(failed) == 0 && !skipped) {
			t.Errorf("%s: Admit says %v", c.name, err)
		}
	}
}
