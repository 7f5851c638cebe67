package grant

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// TokenExchange is the grant of RFC 8693: a token of one kind for an access token.
//
//	grant_type            REQUIRED  urn:ietf:params:oauth:grant-type:token-exchange
//	subject_token         REQUIRED  whom the new token is about
//	subject_token_type    REQUIRED  what kind of token that is (a dialect may set a default)
//	actor_token           OPTIONAL  who acts for the subject
//	actor_token_type      REQUIRED with actor_token, and forbidden without
//	requested_token_type  OPTIONAL  an access token, which is a JWT; there is no other
//	resource, audience    OPTIONAL  default: the subject token's
//	scope                 OPTIONAL  default: the subject token's
//
// The new token never reaches further than the subject token, nor lives longer than it or the
// actor's.
type TokenExchange struct {
	// Subjects are the kinds of token that can be exchanged, in the order in which they are asked.
	Subjects []tokenep.SubjectTokens

	// AllowAnonymous lets an exchange go without a client, unless its subject is an access token:
	// having one must not be enough to get more of them.
	AllowAnonymous bool

	// EndsReused says that an old secret of an API token, which is presented after its end, ends
	// the token: somebody has a copy.
	EndsReused bool
}

// TokenExchangeType is the grant_type.
const TokenExchangeType = "urn:ietf:params:oauth:grant-type:token-exchange"

// The token type identifiers of RFC 8693 §3 that this server issues.
const (
	AccessTokenType = "urn:ietf:params:oauth:token-type:access_token"
	JWTType         = "urn:ietf:params:oauth:token-type:jwt"
)

// maxActors bounds the chain of act claims, and with it the size of tokens that are exchanged over
// and over.
const maxActors = 8

// Type returns urn:ietf:params:oauth:grant-type:token-exchange.
func (TokenExchange) Type() string { return TokenExchangeType }

// Parameters returns those of RFC 8693 §2.1.
func (TokenExchange) Parameters() []string {
	return []string{"subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"}
}

// Anonymous reports whether the exchange needs no client.
func (g TokenExchange) Anonymous(r *tokenep.Request) bool {
	subjectType := r.SubjectTokenType()
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
	if r.Client != nil && r.Client.Public() {
		return nil, errPublic()
	}
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
	if t := r.Form.Get("requested_token_type"); t != "" && t != AccessTokenType && t != JWTType {
		return nil, tokenep.InvalidRequest.Describe("the server does not issue tokens of the requested_token_type")
	}
	subject, err := g.validate(ctx, r, subjectType, subjectToken)
	if err != nil {
		return nil, err
	}
	var actor *tokenep.Authorization
	if actorToken != "" {
		if actor, err = g.validate(ctx, r, actorType, actorToken); err != nil {
			return nil, err
		}
	}
	return combine(r, subject, actor)
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

// expected names the token type identifiers of all kinds, for a description: it is the same for
// every request. One with a character that a description must not have (RFC 6749 §5.2) is left out.
func (g TokenExchange) expected() string {
	var types []string
	for _, s := range g.Subjects {
		for _, t := range s.Types() {
			foreign := strings.ContainsFunc(t, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' })
			if !foreign && !slices.Contains(types, t) {
				types = append(types, t)
			}
		}
	}
	return "it must be one of " + strings.Join(types, ", ")
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

// combine makes one authorization of a subject and, perhaps, an actor (RFC 8693 §1.1: delegation,
// or else impersonation).
func combine(r *tokenep.Request, subject, actor *tokenep.Authorization) (*tokenep.Authorization, error) {
	a := *subject
	a.IssuedTokenType = AccessTokenType
	a.ScopeImplied = r.Client == nil
	a.Ancestors = ancestors(subject, actor)
	a.Limits = limits(subject, actor)
	a.Spend = spendBoth(subject, actor)
	var acting map[string]any
	switch {
	case actor != nil:
		acting = map[string]any{"sub": actor.Subject, "client_id": actor.ClientID}
		a.NotAfter = earliest(a.NotAfter, actor.NotAfter)
	case subject.MayAct != nil:
		if r.Client == nil {
			return nil, tokenep.InvalidRequest.Describe("the subject token says who may act, and nobody was authenticated")
		}
		acting = map[string]any{"sub": tokenep.ClientSubjectPrefix + r.Client.ID, "client_id": r.Client.ID}
	default:
		return &a, nil // the act claim of the subject token stays as it is (§4.1)
	}
	if subject.MayAct != nil && !matches(subject.MayAct, acting) {
		return nil, tokenep.InvalidRequest.Describe("the subject token does not let this actor act")
	}
	if subject.Act != nil {
		acting["act"] = subject.Act
	}
	if depth(acting) > maxActors {
		return nil, tokenep.InvalidRequest.Describe("too many actors have acted for each other")
	}
	a.Act, a.MayAct = acting, nil
	return &a, nil
}

// ancestors returns those of the subject token and of the actor token, which are ancestors
// themselves. A credential that lists none, not even itself, is named by its grant and its subject.
func ancestors(subject, actor *tokenep.Authorization) []verify.Ancestor {
	if actor == nil {
		return subject.Ancestors
	}
	acting := actor.Ancestors
	if len(acting) == 0 {
		acting = []verify.Ancestor{{GrantID: actor.GrantID, Subject: actor.Subject}}
	}
	all := slices.Clone(subject.Ancestors)
	for _, a := range acting {
		if !slices.ContainsFunc(all, func(other verify.Ancestor) bool { return covers(other, a) }) {
			all = append(all, a)
		}
	}
	return all
}

// limits returns those of the subject token and of the actor token: the new token has to keep to
// all of them.
func limits(subject, actor *tokenep.Authorization) []verify.Limit {
	if actor == nil || len(actor.Limits) == 0 {
		return subject.Limits
	}
	all := slices.Clone(subject.Limits)
	for i := range actor.Limits {
		if !slices.ContainsFunc(all, func(other verify.Limit) bool { return other.ID == actor.Limits[i].ID }) {
			all = append(all, actor.Limits[i])
		}
	}
	return all
}

// covers reports whether whatever revokes a revokes other too, which is the same and not younger.
// One without iat is as old as the token that is being issued.
func covers(other, a verify.Ancestor) bool {
	if a.IssuedAt.IsZero() {
		other.IssuedAt = time.Time{}
	}
	return other == a
}

// spendBoth returns what spends the subject token and then the actor token; nil: nothing is spent.
// No refresh token comes of an exchange.
func spendBoth(subject, actor *tokenep.Authorization) func(context.Context) (tokenep.RefreshToken, error) {
	var spends []func(context.Context) (tokenep.RefreshToken, error)
	for _, a := range []*tokenep.Authorization{subject, actor} {
		if a != nil && a.Spend != nil {
			spends = append(spends, a.Spend)
		}
	}
	if len(spends) == 0 {
		return nil
	}
	return func(ctx context.Context) (none tokenep.RefreshToken, err error) {
		for _, spend := range spends {
			if _, err := spend(ctx); err != nil {
				return none, err
			}
		}
		return none, nil
	}
}

// matches reports whether the actor has every member that may_act names (§4.4).
func matches(mayAct, actor map[string]any) bool {
	if len(mayAct) == 0 {
		return false // a claim that names nobody lets nobody act
	}
	for name, want := range mayAct {
		if got, ok := actor[name]; !ok || !equalJSON(got, want) {
			return false
		}
	}
	return true
}

func equalJSON(a, b any) bool {
	left, err1 := json.Marshal(a)
	right, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(left) == string(right)
}

// depth counts the actors of a chain.
func depth(act map[string]any) int {
	n := 0
	for act != nil {
		n++
		act, _ = act["act"].(map[string]any)
	}
	return n
}

// earliest returns the earlier bound; a zero time is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
