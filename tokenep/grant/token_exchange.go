package grant

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// TokenExchange is the grant of RFC 8693: a token of one kind for an access token.
//
//	grant_type            REQUIRED  urn:ietf:params:oauth:grant-type:token-exchange
//	subject_token         REQUIRED  whom the new token is about
//	subject_token_type    REQUIRED  what kind of token that is (a dialect may set a default)
//	actor_token           OPTIONAL  who acts for the subject
//	actor_token_type      REQUIRED with actor_token, and forbidden without
//	requested_token_type  OPTIONAL  an access token, or a JWT, which is the same; an ID token; a
//	                                refresh token
//	resource, audience    OPTIONAL  default: the subject token's
//	scope                 OPTIONAL  default: the subject token's
//
// The new token never reaches further than the subject token, but for an audience that the client
// may exchange to (tokenep.Client.ExchangeTo), nor lives longer than it or the actor's. A refresh
// token comes of an exchange only where the policy for the subject token says so.
type TokenExchange struct {
	Issuer string // iss of this server's tokens

	// Subjects are the kinds of token that can be exchanged, in the order in which they are asked.
	Subjects []tokenep.SubjectTokens

	// AllowAnonymous lets an exchange go without a client, unless its subject is an access token:
	// having one must not be enough to get more of them.
	AllowAnonymous bool

	// AnonymousTypes are the token type identifiers of subject tokens for which a policy may want
	// no client.
	AnonymousTypes []string

	// EndsReused says that an old secret of an API token, which is presented after its end, ends
	// the token: somebody has a copy.
	EndsReused bool

	// MaxChain is how long after the first token of a chain of exchanges the last one may be good;
	// 0: as long as the first, since none lives longer than what it was exchanged for.
	MaxChain time.Duration

	// Refreshes says that there are policies by which refresh tokens come of an exchange; Families
	// are those that begin so.
	Refreshes bool
	Families  state.Families

	// IDTokens reports whether there is a key for the ID tokens of a client; nil: nobody gets any.
	IDTokens func(*tokenep.Client) bool
}

// TokenExchangeType is the grant_type.
const TokenExchangeType = tokenep.TokenExchangeType

// The token type identifiers of RFC 8693 §3 for access tokens.
const (
	AccessTokenType = "urn:ietf:params:oauth:token-type:access_token"
	JWTType         = "urn:ietf:params:oauth:token-type:jwt"
)

// Type returns urn:ietf:params:oauth:grant-type:token-exchange.
func (TokenExchange) Type() string { return TokenExchangeType }

// Parameters returns those of RFC 8693 §2.1.
func (TokenExchange) Parameters() []string {
	return []string{"subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"}
}

// Anonymous reports whether the exchange needs no client.
func (g TokenExchange) Anonymous(r *tokenep.Request) bool {
	subjectType := r.SubjectTokenType()
	if slices.Contains(g.AnonymousTypes, subjectType) {
		return true
	}
	return g.AllowAnonymous && subjectType != AccessTokenType && subjectType != JWTType
}

// RefusalWrites returns tokenep.EndsFamily with EndsReused, else 0.
func (g TokenExchange) RefusalWrites() tokenep.Effects {
	if g.EndsReused {
		return tokenep.EndsFamily
	}
	return 0
}

// Authorize validates the tokens in the order of RFC 8693 §2.1 and puts them together.
func (g TokenExchange) Authorize(ctx context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	subjectToken, err := r.Form.Require("subject_token", "subject_token is missing")
	if err != nil {
		return nil, err
	}
	subjectType := r.SubjectTokenType()
	if subjectType == "" {
		return nil, tokenep.InvalidRequest.Describe("subject_token_type is missing; " + g.expected())
	}
	actorToken, actorType := r.Form.Get("actor_token"), r.Form.Get("actor_token_type")
	if (actorToken == "") != (actorType == "") {
		return nil, tokenep.InvalidRequest.Describe("actor_token and actor_token_type come together or not at all")
	}
	issued, err := g.requested(r)
	if err != nil {
		return nil, err
	}
	subject, err := g.validate(ctx, r, subjectType, subjectToken)
	if err != nil {
		return nil, err
	}
	if r.Client != nil && r.Client.Public() && !subject.AllowPublic {
		return nil, errPublic()
	}
	var actor *tokenep.Authorization
	if actorToken != "" {
		if actor, err = g.validate(ctx, r, actorType, actorToken); err != nil {
			return nil, ofActor(err)
		}
	}
	return g.combine(r, subject, actor, issued)
}

// combine makes one authorization of a subject and, perhaps, an actor (RFC 8693 §1.1).
func (g TokenExchange) combine(r *tokenep.Request, subject, actor *tokenep.Authorization, issued string) (*tokenep.Authorization, error) {
	switch {
	case r.Client == nil && (subject.Descends || !g.AllowAnonymous && !subject.AllowAnonymous):
		return nil, tokenep.InvalidClient.Describe("client authentication is required")
	case subject.Descends && !mayExchange(r.Client, subject):
		return nil, tokenep.InvalidRequest.Describe("the token was not issued to this client or for it").
			Because(fmt.Errorf("client_id is %.100q, and aud %.200q", subject.ClientID, subject.Audience))
	}
	a := *subject
	a.Acting = actor
	a.Ancestors = ancestors(subject, actor)
	a.Limits = limits(subject, actor)
	spendBoth(&a, subject, actor)
	if subject.Descends && r.Client != nil {
		a.Next = r.Client.ExchangeTo
	}
	if err := byBearer(r, &a); err != nil {
		return nil, err
	}
	if actor != nil {
		a.NotAfter = earliest(a.NotAfter, actor.NotAfter)
	}
	if actor == nil && issued != tokenep.IssuedIDToken && g.renews(r, subject) {
		g.renew(&a)
	}
	g.bound(&a, actor)
	if err := g.delegate(r, &a, actor); err != nil {
		return nil, err
	}
	return &a, g.issue(r, &a, issued)
}

// byBearer holds an exchange of a client that has shown one of its access tokens, and nothing else
// (Dialect.BearerClient), to what that token is good for. Others may hold it: unless the client
// got it for itself, nothing but the token is exchanged.
func byBearer(r *tokenep.Request, a *tokenep.Authorization) error {
	if r.Bearer == nil {
		return nil
	}
	itself := r.Bearer.Subject == tokenep.ClientSubjectPrefix+r.Client.ID
	if !itself && (a.Exchanged == nil || a.Exchanged.ID != r.Bearer.ID) {
		return tokenep.InvalidRequest.Describe("the Bearer token is good for an exchange of itself alone")
	}
	a.Next = nil
	a.Scope = a.Scope.Intersect(r.Bearer.Scope)
	if len(a.Audience) == 0 {
		a.Audience = r.Bearer.Audience
	}
	a.Audience = slices.DeleteFunc(slices.Clone(a.Audience), func(name string) bool { return !slices.Contains(r.Bearer.Audience, name) })
	if len(a.Audience) == 0 {
		return tokenep.InvalidTarget.Describe("the Bearer token is for another audience")
	}
	return nil
}

// mayExchange reports whether the client may exchange a token of this server: it was issued to it,
// or for it (the client is in aud), or to a client that it may exchange from.
func mayExchange(c *tokenep.Client, subject *tokenep.Authorization) bool {
	return c != nil && (subject.ClientID == c.ID || slices.Contains(subject.Audience, c.ID) ||
		slices.Contains(c.ExchangeFrom, subject.ClientID) || slices.Contains(c.ExchangeFrom, "*"))
}

// bound adds to a the end of the chain of exchanges that it belongs to: that of the subject token,
// or of the actor token if it began earlier. What comes of a may_act ends with the token that has
// it.
func (g TokenExchange) bound(a, actor *tokenep.Authorization) {
	if actor != nil {
		a.ChainIssuedAt = earliest(a.ChainIssuedAt, actor.ChainIssuedAt)
		a.ChainEnds = earliest(a.ChainEnds, actor.ChainEnds)
	}
	if g.MaxChain > 0 && a.Descends && a.MayAct != nil {
		a.ChainEnds = earliest(a.ChainEnds, a.NotAfter) // its may_act is used up
	}
	if g.MaxChain == 0 && !a.Descends {
		a.ChainEnds = time.Time{} // it ends by NotAfter, since nothing is renewed
	}
	if g.MaxChain > 0 && !a.ChainIssuedAt.IsZero() {
		a.NotAfter = earliest(a.NotAfter, a.ChainIssuedAt.Add(g.MaxChain))
	}
	a.NotAfter = earliest(a.NotAfter, a.ChainEnds)
}

// validate asks the kinds of token that have the identifier, until one knows the token.
func (g TokenExchange) validate(ctx context.Context, r *tokenep.Request, tokenType, token string) (*tokenep.Authorization, error) {
	var refusal error
	for _, s := range g.Subjects {
		if !slices.Contains(s.Types(), tokenType) {
			continue
		}
		a, err := s.Validate(ctx, r, token)
		if err == nil {
			return a, nil
		}
		refusal = badToken(r, err)
		if !errors.Is(err, tokenep.ErrOtherKind) {
			break
		}
	}
	if refusal == nil {
		return nil, tokenep.InvalidRequest.Describe("the server does not take tokens of this type; " + g.expected())
	}
	return nil, refusal
}

// Types returns the token type identifiers of all kinds of subject token.
func (g TokenExchange) Types() (types []string) {
	for _, s := range g.Subjects {
		for _, t := range s.Types() {
			if !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	return types
}

// expected names the token type identifiers of all kinds, for a description: it is the same for
// every request. One with a character that a description must not have (RFC 6749 §5.2) is left out.
func (g TokenExchange) expected() string {
	types := slices.DeleteFunc(g.Types(), func(t string) bool {
		return strings.ContainsFunc(t, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' })
	})
	return "it must be one of " + strings.Join(types, ", ")
}

// ofActor says that the refused token is the actor token.
func ofActor(err error) error {
	if e, ok := errors.AsType[*tokenep.Error](err); ok && e.Status == http.StatusBadRequest {
		return e.Code.Describe("actor_token: " + e.Description).Because(err)
	}
	return err
}

// badToken returns the refusal of a token: that of its kind, unless the dialect has another code.
func badToken(r *tokenep.Request, err error) error {
	other := errors.Is(err, tokenep.ErrOtherKind)
	bad := errors.Is(err, tokenep.InvalidRequest)
	code := r.Dialect.SubjectTokenError
	switch {
	case code == "" && other && !bad:
		code = tokenep.InvalidRequest
	case code == "", !other && !bad:
		return err
	}
	return code.Describe("the subject or actor token is not valid").Because(err)
}
