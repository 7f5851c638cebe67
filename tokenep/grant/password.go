package grant

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// Password is the grant of RFC 6749 §4.3: a client has asked a user for name and password, and gets
// a token in exchange. RFC 9700 §2.4 says that it must not be used: the user learns to type the
// password anywhere, and nothing stands between the two. It is for programs that cannot be changed
// yet.
//
//	grant_type          REQUIRED  password
//	username            REQUIRED  the user's name, in UTF-8
//	password            REQUIRED  the user's password, in UTF-8
//	scope               OPTIONAL  default: the client's default scope
//	audience, resource  OPTIONAL  (RFC 8707) default: the client's audience
//
// A client that may use the refresh token grant gets a refresh token as well, for what it has asked
// for, unless it was to ask for one by the scope offline_access, and did not. A public client may
// use the grant if it is registered for it.
type Password struct {
	// SignIn returns the user of this name and password: see tokenep.Passwords.
	SignIn func(r *tokenep.Request, name, password string) (tokenep.User, error)

	Families state.Families
	Users    state.Users        // keeps what the userinfo endpoint tells
	Claims   tokenep.UserClaims // that it may tell
}

// PasswordType is the grant_type.
const PasswordType = "password"

// Type returns password.
func (Password) Type() string { return PasswordType }

// Parameters returns those of RFC 6749 §4.3.2.
func (Password) Parameters() []string { return []string{"username", "password"} }

// Anonymous returns false: a public client names itself.
func (Password) Anonymous(*tokenep.Request) bool { return false }

// RefusalWrites returns tokenep.CountsAttempt, for a name or password that is wrong (§4.3.2, RFC
// 6819 §5.1.4.2.3).
func (Password) RefusalWrites() tokenep.Effects { return tokenep.CountsAttempt }

// Authorize allows the client what it asks for, once the user is known. The scope was held against
// the client's; the target is here, so that a refresh token does not reach further.
func (g Password) Authorize(_ context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	name, err := r.Form.Require("username", "username is missing")
	if err != nil {
		return nil, err
	}
	password, err := r.Form.Require("password", "password is missing")
	if err != nil {
		return nil, err
	}
	user, err := g.SignIn(r, name, password)
	if err != nil {
		return nil, err
	}
	f := state.Family{
		ID: state.NewFamilyID(), ClientID: r.Client.ID, RegistrationID: r.Client.RegistrationID, Subject: user.Subject,
		Scope: r.Scope, Audience: r.Client.Audience, SignIn: user.SignIn,
	}
	if r.Scope == nil {
		f.Scope = r.Client.ImpliedScope()
	}
	bind(r, &f)
	if targets, ok := r.Within(r.Client.Audience); ok && len(targets) > 0 {
		f.Audience = targets
	}
	a := allowed(f)
	if !r.Client.Refreshes(f.Scope) {
		a.GrantID = "" // there will be no family
	}
	a.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		if f.Scope.Has(tokenep.OpenIDScope) && g.Claims.Release(f.Scope) {
			if err := g.Users.Save(ctx, user.Subject, user.Claims); err != nil {
				return none, err
			}
		}
		if !r.Client.Refreshes(f.Scope) {
			return none, nil
		}
		text, f, err := g.Families.Start(ctx, f)
		return refreshToken(text, f), err
	}
	return a, nil
}
