package tokenep

import (
	"context"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Grant is one way to get a token: one grant_type, one section of an RFC.
type Grant interface {
	// Type is the value of grant_type that selects this grant.
	Type() string
	// Authorize reads the grant's own parameters and says what may be issued. It never writes a response, and by the time it
	// runs the client is authenticated and allowed to use the grant. Its error is an *Error, or whatever AsError makes of it.
	Authorize(ctx context.Context, r *Request) (*Authorization, error)
}

// SubjectTokens validates one kind of subject or actor token (RFC 8693 §2.1).
type SubjectTokens interface {
	// Types lists the token type identifiers that select this kind.
	Types() []string
	// Validate says whom the token speaks for and what at most may be issued in exchange for it. A token that is not good
	// is InvalidRequest (RFC 8693 §2.2.2).
	Validate(ctx context.Context, r *Request, token string) (*Authorization, error)
}

// Authorization is what a grant allows: whom the token is about, and the most that it may say.
type Authorization struct {
	Subject  string       // sub
	ClientID string       // client_id where no client took part; else the authenticated client's
	Scope    verify.Scope // at most
	Audience []string     // at most; empty: the server's default
	NotAfter time.Time    // the token expires no later; zero: no bound
	GrantID  string       // grant_id: what a revocation of the whole authorization names; empty: none

	Act    map[string]any // act (RFC 8693 §4.1)
	MayAct map[string]any // may_act of the subject token (RFC 8693 §4.4)

	IssuedTokenType string // issued_token_type of the answer (RFC 8693 §2.2.1); empty for other grants
	ScopeImplied    bool   // the answer names the scope only if the request did: who asked for nothing in particular expects all there is
}
