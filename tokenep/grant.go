package tokenep

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Grant is one way to get a token: one grant_type, one section of an RFC.
type Grant interface {
	// Type returns the grant_type that selects this grant.
	Type() string

	// Parameters returns the parameters that the grant reads, beside grant_type, scope, audience
	// and resource, which the pipeline reads, and those of client authentication. Each may occur
	// once; every other one is unknown to the grant, and not in the form.
	Parameters() []string

	// Anonymous reports whether this request needs no client. The parameters of the grant have not
	// been checked yet.
	Anonymous(r *Request) bool

	// Authorize reads the grant's own parameters, checks them in the order of its RFC and returns
	// what may be issued. The client is authenticated by then, and allowed to use the grant.
	//
	// Authorize changes nothing, since the request may still be refused: whatever uses up a
	// credential belongs into Authorization.Spend. It writes no response. Its error is an *Error,
	// or whatever AsError makes of it.
	Authorize(ctx context.Context, r *Request) (*Authorization, error)

	// RefusalWrites returns what a refused request may change all the same; 0: nothing.
	RefusalWrites() Effects
}

// Effects is a set of changes that a refused request may make. After a refusal everything else is
// as it was: each code, token, family and credential that was good is as good as before.
type Effects uint8

// These are all the changes that a refused request may make.
const (
	// EndsFamily is the end of a family of refresh tokens, of what a code gave, or of an API token,
	// after a proven replay or reuse (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
	EndsFamily Effects = 1 << iota
	// CountsAttempt is one more failed attempt at guessing a password or a user code.
	CountsAttempt
	// SlowsPolling is the time and the interval of a device's poll (RFC 8628 §3.5).
	SlowsPolling
	// SpendsID is the jti of an assertion or proof that was good itself (RFC 7523 §3, RFC 9449
	// §11.1).
	SpendsID
)

// GrantName returns the short name of a grant_type, for configurations, tables and metrics: the
// last part of a URN, with underscores. It is token_exchange for
// urn:ietf:params:oauth:grant-type:token-exchange, and client_credentials for itself.
func GrantName(grantType string) string {
	return strings.ReplaceAll(grantType[strings.LastIndexByte(grantType, ':')+1:], "-", "_")
}

// SubjectTokens validates one kind of subject or actor token (RFC 8693 §2.1).
type SubjectTokens interface {
	// Types lists the token type identifiers that select this kind. Several kinds may share one.
	Types() []string

	// Validate returns whom the token speaks for, and what at most may be issued in exchange for
	// it. It changes nothing; Authorization.Spend may. The error of a token of another kind Is
	// ErrOtherKind, and the next kind is asked; that of a bad token is InvalidRequest (RFC 8693
	// §2.2.2).
	Validate(ctx context.Context, r *Request, token string) (*Authorization, error)
}

// ErrOtherKind is the error of SubjectTokens.Validate for a token that is not of this kind.
var ErrOtherKind = errors.New("the token is of another kind")

// OtherKind makes the refusal of a token one that Is ErrOtherKind, and that is the answer if no
// other kind knows the token.
func OtherKind(refusal *Error) error { return otherKind{refusal} }

type otherKind struct{ refusal *Error }

func (e otherKind) Error() string        { return e.refusal.Error() }
func (e otherKind) Is(target error) bool { return target == ErrOtherKind }
func (e otherKind) Unwrap() error {
	return e.refusal
}

// Authorization is what a grant allows: whom the token is about, and the most that it may say.
type Authorization struct {
	Subject  string       // sub
	ClientID string       // client_id where no client took part; else the authenticated client's
	Scope    verify.Scope // at most
	Audience []string     // at most; empty: the server's default
	NotAfter time.Time    // the token expires no later; zero: no bound

	// Next are audiences beside Audience that the client gets if it asks for them: the next
	// services, which it calls with what it was called with (RFC 8693 §1).
	Next []string

	// Exchanged is the access token of this server that is exchanged, or that an actor presents;
	// nil: it is of another kind.
	Exchanged *verify.Token

	// TokenID is the jti of the new token, which is another form of one that is known by it; empty:
	// a new one.
	TokenID string

	// Issuer is who issued the subject or actor token (RFC 8693 §2.1): iss, or the name of whoever
	// was asked about it. Empty: this server.
	Issuer string

	// ChainIssuedAt is when the first token was issued of those that were exchanged for each other,
	// down to the new one; zero: it is the first. ChainEnds is when what they all came of expires,
	// if that is no token that was exchanged; zero: not known. No token of the chain, renewed or
	// not, is good after the one, or longer than a server's MaxChain after the other.
	ChainIssuedAt, ChainEnds time.Time

	// Limits bound the use of the token: the claim use_limits.
	Limits []verify.Limit

	GrantID string // grant_id, by which the whole authorization is revoked; empty: none

	// Allowed is when the user allowed it; zero: now.
	Allowed time.Time

	// Ancestors are what the new token comes of beside GrantID: revoking one of them revokes it
	// too. The client need not be among them.
	Ancestors []verify.Ancestor

	// Renews says that Audience was allowed at an earlier time. Where the client may have none of
	// it any more, the grant is not good any more (invalid_grant): a client that is told
	// invalid_target does not ask the user anew.
	Renews bool

	// Descends says that Subject is that of a token of this server, which was verified and from
	// which the new token descends. Only such a subject may be that of a client
	// (ClientSubjectPrefix), but for the client credentials grant.
	Descends bool

	Act    map[string]any // act (RFC 8693 §4.1)
	MayAct map[string]any // may_act of the subject token (RFC 8693 §4.4)

	// GiveMayAct is the may_act of the new token, unless MayAct is left; nil: that which the tokens
	// of the client have.
	GiveMayAct map[string]any

	// Confirmation is the cnf (RFC 7800 §3) that the token has whatever the request has shown.
	Confirmation map[string]any

	SignIn SignIn // how and when the user signed in; zero: not known

	// Extra are further claims of the access token, by name. A name that RFC 9068, RFC 8693 or this
	// server gives a meaning to is an error of the grant.
	Extra map[string]any

	// IDToken are the claims of an ID token (OpenID Connect Core §2) that a client gets as well,
	// beside iss, sub, aud, exp, iat, at_hash and those of SignIn, which the server adds; nil:
	// there is none. Nor is there one if Scope has openid and the client asked for less.
	IDToken map[string]any

	// IssuedTokenType is issued_token_type (RFC 8693 §2.2.1), and what is issued in the place of an
	// access token: IssuedIDToken, or IssuedRefreshToken. Empty for other grants.
	IssuedTokenType string

	// GiveRefresh says that a policy lets a refresh token come of an exchange.
	GiveRefresh bool

	// Issued is what the token says in the end. It is set before Spend runs.
	Issued *Claims

	// AllowPublic lets a public client have the token, which does not authenticate, by a grant that
	// is otherwise for clients that do.
	AllowPublic bool

	// AllowAnonymous says that the grant wants no client for this one.
	AllowAnonymous bool

	// Original are sub and iss by which another issuer knows the subject of its token, for a
	// may_act of the same issuer; nil: the token is of this server.
	Original map[string]any

	// Acting is what the actor token stands for; nil: there is none. Its subject must have access
	// too.
	Acting *Authorization

	// ByMayAct says that MayAct let the actor act, and not a policy of the client.
	ByMayAct bool

	// ScopeCommon says that the token has what the scope that was asked for and Scope have in
	// common, and is refused if that is nothing. Otherwise whoever asks for more gets none of it.
	ScopeCommon bool

	// Spends names what Spend uses up, if a subject and an actor token may be the same: it is spent
	// once then. Empty: nothing else is the same.
	Spends string

	// Spend uses up the credential that was checked, exactly as it was when it was checked. It runs
	// last, after everything else has been decided and signed, and returns the refresh token that
	// comes of it, if one does. An error that Is state.ErrChanged means that the credential says
	// something else by now: the request starts again at Authorize. nil: nothing is spent.
	Spend func(ctx context.Context) (RefreshToken, error)

	// Unspend makes good again what Spend has used up, if something that comes after it fails. nil:
	// nothing does, as for what is counted and not used up.
	Unspend func(ctx context.Context)
}

// vouched reports whether a policy vouches for the subject, whom the server need not know. What
// came of such a token has its grant_id, and an ancestor that acted has no say in it.
func (a *Authorization) vouched() bool { return strings.HasPrefix(a.GrantID, PolicyGrantPrefix) }

// RefreshToken is what a client can get further access tokens for (RFC 6749 §1.5). The zero value
// is none.
type RefreshToken struct {
	Text    string
	Expires time.Time // unless it is used before; zero: not said
	Ends    time.Time // however often it is used; zero: not said
}

// User is a person who has signed in, somewhere: the resource owner of RFC 6749 §1.1.
type User struct {
	Subject string // sub of tokens; empty: nobody has signed in
	SignIn  SignIn

	// Claims are what else is known of the user, by the names of UserClaims.
	Claims map[string]any
}

// SignIn is how and when a user signed in (OpenID Connect Core §2, RFC 9068 §2.2.1).
type SignIn = state.SignIn
