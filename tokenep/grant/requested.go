package grant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// What an exchange issues beside an access token, or in its place (RFC 8693 §2.1
// requested_token_type, §2.2.1): a refresh token, where the policy for the subject token says so,
// and an ID token of the person who has signed in.

// requested returns the token type identifier that is asked for.
func (g TokenExchange) requested(r *tokenep.Request) (string, error) {
	types := []string{AccessTokenType, JWTType}
	if g.IDTokens != nil {
		types = append(types, tokenep.IssuedIDToken)
	}
	if g.Refreshes {
		types = append(types, tokenep.IssuedRefreshToken)
	}
	asked := r.Form.Get("requested_token_type")
	switch {
	case asked == "":
		return AccessTokenType, nil
	case slices.Contains(types, asked):
		return asked, nil
	}
	return "", tokenep.InvalidRequest.Describe("the server does not issue tokens of the requested_token_type; " +
		"it must be one of " + strings.Join(types, ", "))
}

// issue has a issue what is asked for.
func (g TokenExchange) issue(r *tokenep.Request, a *tokenep.Authorization, issued string) error {
	a.IssuedTokenType = issued
	switch {
	case issued != tokenep.IssuedIDToken && g.givesRefresh(r, a):
		g.addRefresh(r, a)
		return nil
	case issued == tokenep.IssuedRefreshToken:
		return tokenep.InvalidRequest.Describe("no refresh token comes of this exchange")
	case issued != tokenep.IssuedIDToken:
		return nil
	case r.Audience != nil:
		return tokenep.InvalidTarget.Describe("an ID token is for its client, and no other audience or resource")
	case !g.identifies(r, a):
		return tokenep.InvalidRequest.Describe("no ID token comes of this exchange")
	}
	a.IDToken = map[string]any{}
	return nil
}

// identifies reports whether an ID token can say who has signed in: the subject token came of that
// sign-in, for the scope openid, and nobody acts for the person.
func (g TokenExchange) identifies(r *tokenep.Request, a *tokenep.Authorization) bool {
	return a.Descends && r.Bearer == nil && a.Act == nil && a.Scope.Has(tokenep.OpenIDScope) && state.IsFamilyID(a.GrantID) &&
		g.IDTokens(r.Client)
}

// givesRefresh reports whether a refresh token comes of the exchange. It is bound to what the
// request binds it to, so none comes of a subject token that is bound to anything else (cnf). The
// policy for an actor token must give one too.
func (g TokenExchange) givesRefresh(r *tokenep.Request, a *tokenep.Authorization) bool {
	if !a.GiveRefresh || g.MaxChain == 0 || r.Client == nil || r.Bearer != nil {
		return false
	}
	if actor := a.Acting; actor != nil && strings.HasPrefix(actor.GrantID, tokenep.PolicyGrantPrefix) && !actor.GiveRefresh {
		return false
	}
	binds := r.Binds()
	for member, key := range a.Confirmation {
		if key != map[string]string{"jkt": binds.KeyThumbprint, "x5t#S256": binds.CertificateThumbprint}[member] {
			return false
		}
	}
	scope := r.Scope
	if scope == nil {
		scope = a.Scope.Intersect(r.Client.Scope)
	}
	return r.Client.Refreshes(scope)
}

// addRefresh has a begin a family of refresh tokens, with all that it came of. It ends with the
// chain of exchanges, and with the actor token, unless a policy lets that be outlived.
func (g TokenExchange) addRefresh(r *tokenep.Request, a *tokenep.Authorization) {
	now := g.Families.Now().Truncate(time.Second)
	x := &state.Exchanged{
		GrantID: a.GrantID, Ancestors: slices.Clone(a.Ancestors), ChainIssuedAt: a.ChainIssuedAt, ChainEnds: a.ChainEnds,
		Limits: a.Limits, Act: a.Act, MayAct: a.GiveMayAct, Claims: a.Extra, Issuer: a.Issuer,
	}
	if x.ChainIssuedAt.IsZero() {
		x.ChainIssuedAt = now
	}
	x.Ancestors = append(x.Ancestors, verify.Ancestor{GrantID: a.GrantID, ClientID: r.Client.ID, Subject: a.Subject})
	for i := range x.Ancestors {
		if x.Ancestors[i].IssuedAt.IsZero() {
			x.Ancestors[i].IssuedAt = now // and not that of whatever it will be refreshed to
		}
	}
	if actor := a.Acting; actor != nil {
		x.Actor = actorOf(a)
		if !actor.GiveRefresh {
			x.ChainEnds = earliest(x.ChainEnds, actor.NotAfter)
		}
	}
	f := state.Family{
		ID: state.NewFamilyID(), ClientID: r.Client.ID, RegistrationID: r.Client.RegistrationID, Subject: a.Subject,
		SignIn: a.SignIn, Exchanged: x, Ends: earliest(x.ChainIssuedAt.Add(g.MaxChain), x.ChainEnds),
	}
	bind(r, &f)
	if certificate, _ := a.Confirmation["x5t#S256"].(string); certificate != "" {
		f.Certificate = certificate // that of the subject token
	}
	a.Ancestors = descendants(f)
	spend := a.Spend
	a.Spend = func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		if spend != nil {
			if _, err := spend(ctx); err != nil {
				return none, err
			}
		}
		f.Scope, f.Audience = a.Issued.Scope, a.Issued.Audience
		text, f, err := g.Families.Start(ctx, f)
		if err != nil && a.Unspend != nil {
			a.Unspend(ctx)
		}
		if errors.Is(err, state.ErrRefused) {
			err = tokenep.InvalidRequest.Describe("the subject or actor token is not valid").Because(err)
		}
		return refreshToken(text, f), err
	}
}

// descendants returns the ancestors of the access tokens of a family that was exchanged for.
func descendants(f state.Family) []verify.Ancestor {
	return append(slices.Clone(f.Exchanged.Ancestors), verify.Ancestor{GrantID: f.ID})
}

// exchanged is what a family allows that came of an exchange.
func exchanged(f state.Family) *tokenep.Authorization {
	x := f.Exchanged
	a := &tokenep.Authorization{
		Subject: f.Subject, Scope: f.Scope, Audience: f.Audience, NotAfter: f.Ends, GrantID: x.GrantID, Ancestors: descendants(f),
		ChainIssuedAt: x.ChainIssuedAt, ChainEnds: x.ChainEnds, Limits: x.Limits, SignIn: f.SignIn,
		Act: x.Act, GiveMayAct: x.MayAct, Extra: x.Claims, Issuer: x.Issuer,
	}
	if actor := x.Actor; actor != nil {
		a.Acting = &tokenep.Authorization{
			Subject: actor.Subject, ClientID: actor.ClientID, Issuer: actor.Issuer, Descends: actor.Issuer == "",
			GrantID: actor.GrantID, Allowed: actor.Allowed,
		}
		a.ByMayAct = actor.ByMayAct
	}
	return a
}
