package grant

import (
	"context"
	"fmt"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// RefreshToken is the grant of RFC 6749 §6: one more access token of what a user allowed.
//
//	grant_type     REQUIRED  refresh_token
//	refresh_token  REQUIRED  from the answer before
//	scope          OPTIONAL  default: what the user allowed; less narrows this access token alone
//	resource       OPTIONAL  (RFC 8707 §2.2) likewise
//
// A refresh token that is rotated is good for one use, and its second use ends all that came of the
// grant, but for a short while after the first (RFC 9700 §4.14.2).
type RefreshToken struct {
	Families state.Families
	Rotation Rotation

	// Exchanged holds what a family allows that came of a token exchange to the policy by which it
	// did, as that is now. Required.
	Exchanged func(ctx context.Context, c *tokenep.Client, a *tokenep.Authorization) error
}

// RefreshTokenType is the grant_type.
const RefreshTokenType = tokenep.RefreshTokenType

// Rotation says which clients get a new refresh token each time that they use one. A change ends
// nothing: what was issued goes on under the new rule.
type Rotation string

// The values of Rotation.
const (
	// RotatePublic rotates the refresh tokens of public clients, as RFC 9700 §4.14.2 asks. Others
	// prove who they are with each refresh, and a copy is of no use to anybody else. The default.
	RotatePublic Rotation = "public"
	RotateAlways Rotation = "always" // those of all clients
	RotateNever  Rotation = "never"  // none: a copy of a public client's is not noticed
)

// Validate returns what is wrong with a setting; the empty one means RotatePublic.
func (r Rotation) Validate() error {
	switch r {
	case "", RotatePublic, RotateAlways, RotateNever:
		return nil
	}
	return fmt.Errorf("unknown rotation %q; expected %s, %s or %s", string(r), RotatePublic, RotateAlways, RotateNever)
}

// rotates reports whether the tokens of this client are rotated.
func (r Rotation) rotates(c *tokenep.Client) bool {
	return r == RotateAlways || r != RotateNever && c.Public()
}

// bind notes what the tokens are bound to that come of a request with which a family starts.
func bind(r *tokenep.Request, f *state.Family) {
	binds := r.Binds()
	f.KeyThumbprint, f.Certificate = binds.KeyThumbprint, binds.CertificateThumbprint
}

// bound holds a request to what the family is bound to. Refresh tokens of a public client are good
// with its key alone. Another client proves who it is, and may show another key each time, but
// never none: what was bound once is never issued unbound (RFC 9449 §5, RFC 8705 §4).
func bound(r *tokenep.Request, f state.Family) error {
	shown := r.Shown
	switch {
	case f.KeyThumbprint != "" && shown.KeyThumbprint == "":
		return tokenep.InvalidDPoPProof.Describe("the refresh token is bound to a key, and there is no DPoP proof")
	case f.Certificate != "" && shown.KeyThumbprint+shown.CertificateThumbprint == "":
		return tokenep.InvalidRequest.Describe("the refresh token is bound to a client certificate, and there is none")
	case !r.Client.Public():
		return nil
	case f.KeyThumbprint != "" && f.KeyThumbprint != shown.KeyThumbprint:
		return tokenep.InvalidGrant.Describe("the refresh token is bound to another key than that of the DPoP proof")
	case f.Certificate != "" && f.Certificate != shown.CertificateThumbprint:
		return tokenep.InvalidGrant.Describe("the refresh token is bound to another client certificate")
	}
	return nil
}

// Type returns refresh_token.
func (RefreshToken) Type() string { return RefreshTokenType }

// Parameters returns that of RFC 6749 §6.
func (RefreshToken) Parameters() []string { return []string{"refresh_token"} }

// Anonymous returns false: refresh tokens are bound to their client.
func (RefreshToken) Anonymous(*tokenep.Request) bool { return false }

// RefusalWrites returns tokenep.EndsFamily, for a token that is used again.
func (RefreshToken) RefusalWrites() tokenep.Effects { return tokenep.EndsFamily }

// Authorize allows what the user did, for as long as the family of the token lives.
func (g RefreshToken) Authorize(ctx context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	token, err := r.Form.Require("refresh_token", "refresh_token is missing")
	if err != nil {
		return nil, err
	}
	f, version, err := g.Families.Check(ctx, token, func(f state.Family) error {
		if !issuedTo(r.Client, f.ClientID, f.RegistrationID) {
			return errOtherClient()
		}
		return bound(r, f)
	})
	if err != nil {
		return nil, refused(err, "the refresh token is not valid, or was used before")
	}
	spend := g.Families.Use
	if g.Rotation.rotates(r.Client) {
		spend = g.Families.Rotate
	}
	a := allowed(f)
	if f.Exchanged != nil {
		a = exchanged(f)
		if err := g.Exchanged(ctx, r.Client, a); err != nil {
			return nil, err
		}
	}
	a.Renews, a.Allowed = true, f.Started
	if f.Certificate != "" && r.Shown.KeyThumbprint == "" { // whatever the client is registered for
		a.Confirmation = map[string]any{"x5t#S256": r.Shown.CertificateThumbprint}
	}
	a.Spend = func(ctx context.Context) (tokenep.RefreshToken, error) {
		text, f, err := spend(ctx, version)
		return refreshToken(text, f), refused(err, "the refresh token was used before")
	}
	return a, nil
}
