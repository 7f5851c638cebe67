package tokenep

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// narrow decides what the token says: what was asked for, within what both the grant and the
// client's registration allow, for no longer than the grant allows.
func (t *TokenEndpoint) narrow(ctx context.Context, r *Request, a *Authorization) (*Claims, error) {
	now := t.Now()
	c := &Claims{
		ID:      a.TokenID,
		Subject: a.Subject, ClientID: a.ClientID, GrantID: a.GrantID, Ancestors: a.Ancestors, Act: a.Act, MayAct: a.MayAct,
		Confirmation: a.Confirmation, SignIn: a.SignIn, Extra: a.Extra,
		Scope: a.Scope, Audience: t.targets(a.Audience),
		IssuedAt: now.Truncate(time.Second), Limits: a.Limits,
		ChainIssuedAt: a.ChainIssuedAt, ChainExpires: a.ChainEnds,
	}
	if c.MayAct == nil {
		c.MayAct = a.GiveMayAct
	}
	if c.MayAct == nil {
		c.MayAct = r.Client.mayAct()
	}
	if err := c.descend(r.Client); err != nil {
		return nil, err
	}
	if actors(c.Act) > maxActors {
		return nil, a.bad(r, "too many actors have acted for each other")
	}
	if err := c.bind(r); err != nil {
		return nil, err
	}
	ttl := t.TokenTTL
	if r.Client != nil {
		c.ClientID = r.Client.ID
		if r.Client.AccessTokenTTL > 0 {
			ttl = min(time.Duration(r.Client.AccessTokenTTL), t.LongestTTL)
		}
		c.Scope = c.Scope.Intersect(r.Client.Scope)
		c.Audience = common(c.Audience, t.targets(r.Client.Audience))
	}
	if err := c.reduce(r, a); err != nil {
		return nil, err
	}
	if err := t.aim(r, a, c); err != nil {
		return nil, err
	}
	c.Expires = c.IssuedAt.Add(ttl)
	if !a.NotAfter.IsZero() && a.NotAfter.Before(c.Expires) {
		c.Expires = a.NotAfter.Truncate(time.Second)
	}
	if !c.Expires.After(now) {
		return nil, a.bad(r, "the grant, or what it came of, has expired")
	}
	a.Issued = c
	return c, t.stillActive(ctx, r, a)
}

// reduce leaves of the scope what was asked for.
func (c *Claims) reduce(r *Request, a *Authorization) error {
	allowed := c.Scope
	switch {
	case r.Scope == nil:
	case a.ScopeCommon:
		c.Scope = r.Scope.Intersect(allowed)
	case !allowed.Includes(r.Scope):
		return InvalidScope.Describe("the scope is more than the grant allows").Because(beyond(r.Scope, allowed))
	default:
		c.Scope = r.Scope
	}
	if a.ScopeCommon && len(c.Scope) == 0 {
		return InvalidScope.Describe("nothing of the scope is allowed").Because(beyond(r.Scope, allowed))
	}
	return nil
}

// aim decides which audience the token is for: that which was asked for, within what the grant and
// the client have in common, and the next services that the grant names. A token that nobody asked
// to be for the next service is not.
func (t *TokenEndpoint) aim(r *Request, a *Authorization, c *Claims) error {
	if r.Audience == nil {
		if len(c.Audience) == 0 {
			return a.outOfReach("the client may not have a token for the audience of this grant")
		}
		return nil
	}
	reach := slices.Concat(c.Audience, a.Next)
	targets, ok := r.Within(reach)
	switch {
	case ok:
		c.Audience = targets
		return nil
	case len(c.Audience) == 0:
		return a.outOfReach("the client may not have a token for the audience of this grant")
	case r.within(t.targets(a.Audience)):
		return a.outOfReach("the client may not ask for this audience or resource")
	}
	return InvalidTarget.Describe("the grant does not reach this audience or resource").Because(beyond(r.Audience, reach))
}

// bad is the refusal of what was to be exchanged: a grant (RFC 6749 §5.2), or a token (RFC 8693
// §2.2.2).
func (a *Authorization) bad(r *Request, description string) *Error {
	code := InvalidGrant
	if a.IssuedTokenType != "" {
		code = cmp.Or(r.Dialect.SubjectTokenError, InvalidRequest)
	}
	return code.Describe(description)
}

// stillActive refuses a user who is disabled or gone, and one for whom such a user acts, or has
// acted (RFC 8693 §4.1). The time of the token is set by then, so that
// whoever is disabled at this moment loses it with all others.
func (t *TokenEndpoint) stillActive(ctx context.Context, r *Request, a *Authorization) error {
	if a.Acting != nil {
		acting := *a.Acting
		acting.IssuedTokenType = a.IssuedTokenType
		if err := t.stillActive(ctx, r, &acting); err != nil {
			return err
		}
	}
	for act := a.Act; act != nil; act, _ = act["act"].(map[string]any) {
		actor := Authorization{IssuedTokenType: a.IssuedTokenType}
		actor.Subject, _ = act["sub"].(string)
		if iss := act["iss"]; actor.Subject == "" || iss != nil && iss != t.Minter.Issuer {
			continue // of another server
		}
		if i := slices.IndexFunc(a.Ancestors, actor.vouches); i >= 0 {
			actor.GrantID = a.Ancestors[i].GrantID
		}
		if err := t.stillActive(ctx, r, &actor); err != nil {
			return err
		}
	}
	if t.Active == nil || strings.HasPrefix(a.Subject, ClientSubjectPrefix) {
		return nil
	}
	active := t.Active
	if a.vouched() {
		active = t.Enabled
	}
	err := active(ctx, a.Subject, a.Allowed)
	if !errors.Is(err, ErrNoUser) {
		return err
	}
	return a.bad(r, "the user has no access any more").Because(err)
}

// vouches reports whether an ancestor is what a policy gave for the subject.
func (a *Authorization) vouches(ancestor verify.Ancestor) bool {
	return ancestor.Subject == a.Subject && strings.HasPrefix(ancestor.GrantID, PolicyGrantPrefix)
}

// outOfReach is the refusal of a target that the grant reaches and the client does not.
func (a *Authorization) outOfReach(description string) *Error {
	if a.Renews {
		return InvalidGrant.Describe("the server does not serve the audience of this grant to the client any more")
	}
	return InvalidTarget.Describe(description)
}

// maxAncestors bounds the ancestors of a token, and with them its size. Eight actors in a row make
// as many.
const maxAncestors = 16

// descend makes the registration of the client one of those things by which the token can be
// revoked: its grant, where it has no other, or else an ancestor. So a token ends with the
// registration under which the client was authenticated, whenever it was issued.
func (c *Claims) descend(client *Client) error {
	if client != nil && client.RegistrationID != "" {
		if c.GrantID == "" {
			c.GrantID = client.RegistrationID
		} else if c.GrantID != client.RegistrationID && !slices.ContainsFunc(c.Ancestors, client.isRegistration) {
			c.Ancestors = append(slices.Clone(c.Ancestors), verify.Ancestor{GrantID: client.RegistrationID})
		}
	}
	if len(c.Ancestors) > maxAncestors {
		return InvalidRequest.Describe("the token would come of too many others, one exchanged for the next")
	}
	return nil
}

// maxActors bounds the actors of an act claim, and with them the size of a token.
const maxActors = 8

// actors counts the actors of a chain (RFC 8693 §4.1).
func actors(act map[string]any) (n int) {
	for ; act != nil; n++ {
		act, _ = act["act"].(map[string]any)
	}
	return n
}

// isRegistration reports whether an ancestor is the registration of the client.
func (c *Client) isRegistration(a verify.Ancestor) bool {
	return a == verify.Ancestor{GrantID: c.RegistrationID, IssuedAt: a.IssuedAt}
}

// targets returns the audience, or the server's default where there is none: aud is never empty
// (RFC 9068 §3).
func (t *TokenEndpoint) targets(audience []string) []string {
	if len(audience) == 0 {
		return t.Audience
	}
	return audience
}

// common returns what is in both lists, in the order of the first.
func common(a, b []string) []string {
	if slices.Equal(a, b) {
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}
