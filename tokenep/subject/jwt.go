package subject

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// JWTs is the JWTs of configured issuers (RFC 8693 §3, RFC 7523 §3): access tokens of another
// authorization server, ID tokens, the identity of a job or of a service account. The issuer that a
// token names is found, and its keys are asked for no other, so that the number of issuers costs
// nothing, and the key of one is of no use for another.
type JWTs struct{ *Foreign }

// IDTokenType is the token type identifier of ID tokens (RFC 8693 §3).
const IDTokenType = tokenep.IssuedIDToken

// Types returns the identifiers that fit a JWT.
func (JWTs) Types() []string { return []string{grant.JWTType, grant.AccessTokenType, IDTokenType} }

// Validate verifies the token as its issuer makes them, and asks the policies for that issuer.
func (j JWTs) Validate(ctx context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	return j.validate(ctx, r, token)
}

// validate verifies a JWT, and asks the policies for its issuer.
func (f *Foreign) validate(ctx context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	t, err := f.Verifier.Verify(ctx, verify.Presentation{Token: token})
	if err != nil {
		r.Outcome.Option = f.remedy(err)
		return nil, refusal(err)
	}
	s := f.Issuers[t.Issuer]
	switch {
	case s == nil:
		return nil, tokenep.InvalidRequest.Describe("the token is not accepted").Because(errOtherGrant)
	case len(s.Issuer.Audience) == 0 && !f.isForUs(t):
		return nil, tokenep.InvalidRequest.Describe("the token is not valid").Because(fmt.Errorf("%w: %q, expected one of %q", errAudience, t.Audience, f.Audience()))
	}
	return f.choose(ctx, r, s, t)
}

// remedy returns which options of the issuer would have let a token in, in the words of a
// Caddyfile. JWTs of a certain form have none.
func (f *Foreign) remedy(err error) string {
	if refused, ok := errors.AsType[*verify.Error](err); ok && f.Form == FormOther {
		return refused.Option
	}
	return ""
}

var (
	errOtherGrant = errors.New("the policies for its issuer are for another grant")
	errAudience   = errors.New("the token is for another audience")
)

// errOurs keeps a credential from the eyes of others.
var errOurs = errors.New("it looks like a credential of this server, which is shown to nobody else")

// ofOthers returns nil for an opaque token that may be shown to a source.
func ofOthers(token string) error {
	if state.IsAPIToken(token) || state.IsRefreshToken(token) || strings.TrimSpace(token) != token {
		return errOurs
	}
	return nil
}

// Opaque is the tokens of one source that is asked about them.
type Opaque struct {
	*Foreign
	Source *Source
}

// Types returns the identifiers of the source.
func (o Opaque) Types() []string { return o.Source.Types }

// retrySource is the Retry-After where a source is away.
const retrySource = 5 * time.Second

// Validate asks the source, and then its policies. Where the source does not know, it is 503, and
// nobody throws away a token that is good.
func (o Opaque) Validate(ctx context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	if err := ofOthers(token); err != nil {
		return nil, tokenep.OtherKind(tokenep.InvalidRequest.Describe("the token is not valid").Because(err))
	}
	t, err := o.Source.Prove(ctx, r, token)
	if err == nil {
		return o.choose(ctx, r, o.Source, t)
	}
	err = fmt.Errorf("source %s: %w", o.Source.Name, err)
	if errors.Is(err, ErrBadToken) {
		return nil, tokenep.OtherKind(tokenep.InvalidRequest.Describe("the token is not valid").Because(err))
	}
	if _, said := errors.AsType[*tokenep.Error](err); said {
		return nil, err
	}
	away := tokenep.TemporarilyUnavailable.Describe("the token cannot be verified at the moment; try again").Because(err)
	away.RetryAfter = retrySource
	return nil, away
}
