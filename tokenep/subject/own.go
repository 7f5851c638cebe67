package subject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Own is the access tokens of this server (RFC 8693 §3,
// urn:ietf:params:oauth:token-type:access_token or …:jwt). An authenticated client exchanges one
// for one that reaches less far: a narrower scope or audience, and never a later expiry.
//
// Whose tokens a client may exchange is the business of grant.TokenExchange.
type Own struct {
	// Verifier trusts this issuer alone, for any audience, and whatever the token is bound to.
	Verifier *verify.Verifier

	// Expired is as Verifier, for tokens that have expired; nil: no path of the token endpoint
	// renews one (tokenep.Dialect.RenewExpired). What such a token may still be exchanged for is
	// decided by its NotAfter.
	Expired *verify.Verifier

	// Since is when chains of exchanges may last so long (state.Chain): a token of an older chain
	// that has expired may have been revoked, and that forgotten. Required with Expired.
	Since func() time.Time
	Now   func() time.Time // the clock
}

// Types returns the two identifiers that fit a JWT access token.
func (Own) Types() []string { return []string{grant.AccessTokenType, grant.JWTType} }

// Validate verifies the token as on any protected route: signature, expiry, revocation, and that
// the request has shown what the token is bound to. The new token is bound to the same.
func (o Own) Validate(ctx context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	t, err := o.verify(ctx, r, token)
	if err != nil {
		refused := refusal(err)
		if errors.Is(refused, tokenep.ErrOtherKind) {
			return nil, refused
		}
		if e, ok := errors.AsType[*tokenep.Error](refused); ok && e.Code == tokenep.InvalidRequest && !o.issued(ctx, token) {
			return nil, tokenep.OtherKind(e) // it cannot be read here, and may be by another kind
		}
		return nil, refused
	}
	if err := r.Shown.Satisfies(t.Claims["cnf"]); err != nil {
		return nil, tokenep.InvalidRequest.Describe("the token is not valid").Because(err)
	}
	act, err := actors(t, "act")
	if err != nil {
		return nil, err
	}
	mayAct, err := actors(t, "may_act")
	if err != nil {
		return nil, err
	}
	a := &tokenep.Authorization{
		Issuer: t.Issuer, Subject: t.Subject, ClientID: t.ClientID, Scope: t.Scope, Audience: t.Audience, NotAfter: t.Expires,
		GrantID: t.GrantID, Ancestors: Lineage(t), Descends: true,
		Act: act, MayAct: mayAct, Limits: t.Limits, ChainIssuedAt: t.IssuedAt,
		Exchanged: t,
	}
	a.Confirmation, _ = t.Claims["cnf"].(map[string]any)
	if err := readChain(t, a); err != nil {
		return nil, err
	}
	if o.Since != nil && !o.Now().Before(t.Expires) && a.ChainIssuedAt.Before(o.Since().Truncate(time.Second)) {
		return nil, tokenep.InvalidRequest.Describe("the token is not valid").Because(errOldChain)
	}
	return a, nil
}

var errOldChain = errors.New("it has expired, and is older than max_chain, which may have been shorter when it was revoked")

// issued reports whether a token that was refused can be read, and says that it is of this server:
// that is shown to nobody else.
func (o Own) issued(ctx context.Context, token string) bool {
	_, checks := o.Verifier.Inspect(ctx, verify.Presentation{Token: token})
	return slices.ContainsFunc(checks, func(c verify.Check) bool { return c.Name == "issuer" && !c.Skipped && c.Err == nil })
}

// verify verifies the token, or one that has expired a while ago.
func (o Own) verify(ctx context.Context, r *tokenep.Request, token string) (*verify.Token, error) {
	p := verify.Presentation{Token: token}
	t, err := o.Verifier.Verify(ctx, p)
	if err == nil || o.Expired == nil || r.Client == nil || r.Dialect.RenewExpired == 0 {
		return t, err
	}
	expired, _ := o.Expired.Verify(ctx, p)
	if expired != nil && o.Now().Before(expired.Expires.Add(r.Dialect.RenewExpired)) {
		return expired, nil
	}
	return nil, err
}

// readChain reads when the chain of exchanges began of which t comes, and how the user signed in.
// Only this server writes these claims: what is there in another form is not taken for absent.
func readChain(t *verify.Token, a *tokenep.Authorization) error {
	for _, claim := range []struct {
		name string
		into *time.Time
	}{{tokenep.ChainIssuedAtClaim, &a.ChainIssuedAt}, {tokenep.ChainExpiresClaim, &a.ChainEnds}, {"auth_time", &a.SignIn.Time}} {
		value, present := t.Claims[claim.name]
		if !present {
			continue
		}
		number, _ := value.(json.Number)
		seconds, err := number.Int64()
		if err != nil {
			return tokenep.InvalidRequest.Describe("the token is not valid").Because(fmt.Errorf("%s is no number of seconds", claim.name))
		}
		*claim.into = time.Unix(seconds, 0)
	}
	a.SignIn.Class, _ = t.Claims["acr"].(string)
	methods, _ := t.Claims["amr"].([]any)
	for _, method := range methods {
		if name, ok := method.(string); ok {
			a.SignIn.Methods = append(a.SignIn.Methods, name)
		}
	}
	return nil
}

// Lineage returns the ancestors of t, and t. A credential that has no iat of its own is as old as
// the first token that names it: revoking what is older than some time ends all that came of it. A
// token that was renewed is among its own ancestors, as it was first.
func Lineage(t *verify.Token) []verify.Ancestor {
	all := slices.Clone(t.Ancestors)
	for i := range all {
		if all[i].IssuedAt.IsZero() {
			all[i].IssuedAt = t.IssuedAt
		}
	}
	if slices.ContainsFunc(all, func(a verify.Ancestor) bool { return a.ID == t.ID && a.ID != "" && a.KeyID == t.Header.KeyID }) {
		return all
	}
	return append(all, verify.Ancestor{
		ID: t.ID, GrantID: t.GrantID, ClientID: t.ClientID, Subject: t.Subject, IssuedAt: t.IssuedAt, KeyID: t.Header.KeyID,
	})
}

// refusal is invalid_request for a bad token (RFC 8693 §2.2.2), also ErrOtherKind for what is no
// token of this issuer, and 503 where the verifier could not tell.
func refusal(err error) error {
	if away := tokenep.AsUnavailable(err); away != nil {
		return away
	}
	invalid := tokenep.InvalidRequest.Describe("the token is not valid").Because(err)
	if refused, ok := errors.AsType[*verify.Error](err); ok && refused.Foreign {
		return tokenep.OtherKind(invalid)
	}
	return invalid
}
