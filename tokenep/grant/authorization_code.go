package grant

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// AuthorizationCode is the grant of RFC 6749 §4.1.3 with PKCE (RFC 7636): what a user allowed at
// the authorization endpoint.
//
//	grant_type     REQUIRED  authorization_code
//	code           REQUIRED  from the redirect
//	redirect_uri   REQUIRED  if the authorization request had one, and the same
//	code_verifier  REQUIRED  if the authorization request had a code_challenge, and of it
//	scope          OPTIONAL  default: what the user allowed
//	resource       OPTIONAL  (RFC 8707 §2.2) default: what the user allowed
//
// A client that may use the refresh token grant gets a refresh token as well, unless it was to ask
// for one by the scope offline_access, and did not. A request that is
// refused leaves the code good; a code that is used again ends all that came of it (§4.1.2).
type AuthorizationCode struct {
	// Codes have the Families that are started with them.
	Codes state.Codes
}

// AuthorizationCodeType is the grant_type.
const AuthorizationCodeType = "authorization_code"

// The methods of a code_challenge (RFC 7636 §4.2).
const (
	ChallengeS256  = "S256"
	ChallengePlain = "plain"
)

// Type returns authorization_code.
func (AuthorizationCode) Type() string { return AuthorizationCodeType }

// Parameters returns those of RFC 6749 §4.1.3 and RFC 7636 §4.5.
func (AuthorizationCode) Parameters() []string {
	return []string{"code", "redirect_uri", "code_verifier"}
}

// Anonymous returns false: a public client names itself (RFC 6749 §4.1.3).
func (AuthorizationCode) Anonymous(*tokenep.Request) bool { return false }

// RefusalWrites returns tokenep.EndsFamily, for a code that is used again.
func (AuthorizationCode) RefusalWrites() tokenep.Effects { return tokenep.EndsFamily }

// Authorize holds the request to what the code stands for, and allows what the user did.
func (g AuthorizationCode) Authorize(ctx context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	code, err := r.Form.Require("code", "code is missing")
	if err != nil {
		return nil, err
	}
	c, version, err := g.Codes.Check(ctx, code, func(c state.Code) error { return matchesCode(r, c) })
	if err != nil {
		return nil, refused(err, "the code is not valid, or was used before")
	}
	f := state.Family{
		ID: c.Family, ClientID: c.ClientID, RegistrationID: c.RegistrationID, Subject: c.Subject,
		Scope: c.Scope, Audience: c.Audience, SignIn: c.SignIn,
	}
	bind(r, &f)
	a := allowed(f)
	a.Allowed = c.Created
	if a.IDToken != nil && c.Nonce != "" {
		a.IDToken["nonce"] = c.Nonce
	}
	a.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		if !r.Client.Refreshes(f.Scope) {
			return none, refused(g.Codes.Spend(ctx, version), "the code was used before")
		}
		text, f, err := g.Codes.Redeem(ctx, version, f)
		return refreshToken(text, f), refused(err, "the code was used before")
	}
	return a, nil
}

// matchesCode holds a request to the code that it presents (RFC 6749 §4.1.3, RFC 7636 §4.6).
func matchesCode(r *tokenep.Request, c state.Code) error {
	uri, verifier := r.Form.Get("redirect_uri"), r.Form.Get("code_verifier")
	switch {
	case !issuedTo(r.Client, c.ClientID, c.RegistrationID):
		return errOtherClient()
	case uri != c.RedirectURI && (uri != "" || !c.RedirectImplied):
		return tokenep.InvalidGrant.Describe("redirect_uri is not that of the authorization request")
	case c.Challenge == "" && verifier != "":
		// Somebody has taken the code_challenge out of the authorization request (RFC 9700 §4.8.2).
		return tokenep.InvalidGrant.Describe("there is a code_verifier, and the authorization request had no code_challenge")
	case c.Challenge != "" && verifier == "":
		return tokenep.InvalidGrant.Describe("code_verifier is missing")
	case c.Challenge != "" && !verifies(verifier, c.Challenge, c.ChallengeMethod):
		return tokenep.InvalidGrant.Describe("code_verifier is not that of the code_challenge")
	case c.KeyThumbprint != "" && r.Shown.KeyThumbprint == "": // RFC 9449 §10
		return tokenep.InvalidDPoPProof.Describe("the code is bound to a key, and there is no DPoP proof")
	case c.KeyThumbprint != "" && r.Shown.KeyThumbprint != c.KeyThumbprint:
		return tokenep.InvalidGrant.Describe("the code is bound to another key than that of the DPoP proof")
	}
	return nil
}

// verifies compares a code_verifier with the challenge (RFC 7636 §4.6).
func verifies(verifier, challenge, method string) bool {
	if !IsCodeVerifier(verifier) {
		return false
	}
	if method == ChallengeS256 {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(challenge)) == 1
}

// IsCodeVerifier reports whether text has the form of a code_verifier, and so of a code_challenge:
// 43 to 128 unreserved characters (RFC 7636 §4.1, §4.2).
func IsCodeVerifier(text string) bool {
	return len(text) >= 43 && len(text) <= 128 && !strings.ContainsFunc(text, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
	})
}

// issuedTo reports whether a code or refresh token was issued to this client, as it is registered
// now: a client that was removed does not come back by its name.
func issuedTo(c *tokenep.Client, id, registrationID string) bool {
	return c.ID == id && c.RegistrationID == registrationID
}

func errOtherClient() error {
	return tokenep.InvalidGrant.Describe("the code or refresh token was issued to another client")
}

// refused makes the refusal of a credential invalid_grant, and leaves other errors alone.
func refused(err error, description string) error {
	if errors.Is(err, state.ErrRefused) {
		return tokenep.InvalidGrant.Describe(description).Because(err)
	}
	return err
}

// allowed is what a family allows.
func allowed(f state.Family) *tokenep.Authorization {
	a := &tokenep.Authorization{
		Subject: f.Subject, Scope: f.Scope, Audience: f.Audience, NotAfter: f.Ends, GrantID: f.ID,
		SignIn: f.SignIn,
	}
	if f.Scope.Has(tokenep.OpenIDScope) {
		a.IDToken = map[string]any{}
	}
	return a
}

// refreshToken is the answer's refresh token of a family.
func refreshToken(text string, f state.Family) tokenep.RefreshToken {
	return tokenep.RefreshToken{Text: text, Expires: f.Expires, Ends: f.Ends}
}
