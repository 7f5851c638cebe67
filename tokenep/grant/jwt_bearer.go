package grant

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// JWTBearer is the grant of RFC 7523 §2.1: an assertion that another issuer has signed, for an
// access token.
//
//	grant_type  REQUIRED  urn:ietf:params:oauth:grant-type:jwt-bearer
//	assertion   REQUIRED  a single JWT, in its compact form
//	scope       OPTIONAL  default: all that the policy for the assertion allows
//
// Whose assertions are accepted, for which clients, and what comes of them, is said by policies.
// The audience of the assertion is this server, and never that of the access token. No refresh
// token comes of it: the client gets another assertion instead (RFC 7521 §4.1).
type JWTBearer struct {
	// Assertions are the kinds of assertion that are accepted, in the order in which they are
	// asked.
	Assertions []tokenep.SubjectTokens

	// AllowAnonymous lets a request go without a client (RFC 7521 §4.1), if the policy does.
	AllowAnonymous bool
}

// JWTBearerType is the grant_type.
const JWTBearerType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// Type returns urn:ietf:params:oauth:grant-type:jwt-bearer.
func (JWTBearer) Type() string { return JWTBearerType }

// Parameters returns that of RFC 7523 §2.1.
func (JWTBearer) Parameters() []string { return []string{"assertion"} }

// Anonymous reports whether the policies let a request go without a client.
func (g JWTBearer) Anonymous(*tokenep.Request) bool { return g.AllowAnonymous }

// RefusalWrites returns 0. The jti of an assertion is spent last.
func (JWTBearer) RefusalWrites() tokenep.Effects { return 0 }

// Authorize validates the assertion. Whatever is wrong with it, the answer is the same (RFC 7523
// §3.1).
func (g JWTBearer) Authorize(ctx context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	assertion, err := r.Form.Require("assertion", "assertion is missing")
	if err != nil {
		return nil, err
	}
	refusal := error(tokenep.InvalidGrant.Describe("the assertion is not valid"))
	for _, kind := range g.Assertions {
		a, err := kind.Validate(ctx, r, assertion)
		if err == nil {
			return invalidWhenSpent(a), nil
		}
		refusal = badAssertion(err)
		if !errors.Is(err, tokenep.ErrOtherKind) {
			break
		}
	}
	return nil, refusal
}

// badAssertion is the refusal of an assertion (RFC 7523 §3.1). What is not its fault stays what it
// is.
func badAssertion(err error) error {
	if errors.Is(err, tokenep.InvalidRequest) || errors.Is(err, tokenep.ErrOtherKind) {
		return tokenep.InvalidGrant.Describe("the assertion is not valid").Because(err)
	}
	return err
}

// invalidWhenSpent has the same refusal for an assertion that is spent by somebody else meanwhile.
func invalidWhenSpent(a *tokenep.Authorization) *tokenep.Authorization {
	spend := a.Spend
	if spend == nil {
		return a
	}
	a.Spend = func(ctx context.Context) (tokenep.RefreshToken, error) {
		refresh, err := spend(ctx)
		if err != nil {
			err = badAssertion(err)
		}
		return refresh, err
	}
	return a
}
