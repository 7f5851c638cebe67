package tokenep_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// challenge returns the code_challenge of a verifier (RFC 7636 §4.2).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// post sends the credential in a request with one defect, or none.
func (m *refusals) post(defect string, c *credential) (status int, answer map[string]any) {
	id, secret := "app", "app"
	form := url.Values{
		"grant_type": {c.grant}, c.parameter: {c.text}, "redirect_uri": {callback}, "code_verifier": {verifier},
		"subject_token_type": {c.tokenType}, "scope": {"read"},
	}
	switch defect {
	case "a wrong secret":
		secret = "wrong"
	case "another client":
		id, secret = "other", "other"
		if c.tokenType == server.APITokenType { // whoever has an API token may exchange it
			secret = "wrong"
		}
	case "a client without the grant":
		id, secret = "idle", "idle"
	case "a wide scope":
		form.Set("scope", "read write")
	case "a malformed scope":
		form.Set("scope", `"`)
	case "a foreign target":
		form.Set("resource", "https://elsewhere.example")
	case "a malformed target":
		form.Set("resource", "#")
	case "a repeated credential":
		form.Add(c.parameter, c.text)
	case "a repeated parameter":
		form["scope"] = []string{"read", "read"}
	case "a wrong verifier":
		form.Set("code_verifier", "another")
		if c.grant != codeType {
			secret = "wrong"
		}
	}
	if m.asserts {
		form.Set("client_assertion_type", clientauth.AssertionType)
		form.Set("client_assertion", m.assertion(id, id == secret))
	}
	r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !m.asserts {
		r.SetBasicAuth(id, secret)
	}
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

// assertion returns one of the client, signed with its key or with another.
func (m *refusals) assertion(id string, good bool) string {
	key := m.keys[id]
	options := []verifytest.Option{verifytest.Header("typ", nil)}
	if !good {
		options = append(options, verifytest.SignedBy(m.keys["idle"]))
	}
	return key.Sign(verifytest.Claims{"sub": id}, options...)
}
