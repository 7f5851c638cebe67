package state

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// APITokenEvent is something that has happened to an API token.
type APITokenEvent struct {
	What    string // one of the constants below
	Token   APIToken
	Address netip.Addr    // from where it was used, or was to be
	Reason  string        // why it was denied, limited or revoked
	Left    time.Duration // of its life, when it expires soon
}

// What can happen to an API token.
const (
	APITokenCreated  = "created"
	APITokenRolled   = "rolled"
	APITokenRevoked  = "revoked"
	APITokenMoved    = "used_from_new_address" // not one of those that it was used from lately
	APITokenExpiring = "expiring"              // in 60, 30, 7 days, or in one
	APITokenExpired  = "expired"
	APITokenDenied   = "denied"  // its secret was right, and it is not good
	APITokenLimited  = "limited" // it was used too often
)

// tell calls Event.
func (s APITokens) tell(ctx context.Context, e APITokenEvent) {
	if s.Event != nil {
		s.Event(ctx, e)
	}
}

// deny tells of a token that was presented with a right secret and refused, and returns why.
func (s APITokens) deny(ctx context.Context, t *APIToken, from netip.Addr, err error) error {
	if s.Event == nil {
		return err
	}
	if limited, ok := errors.AsType[*LimitedError](err); ok {
		s.Event(ctx, APITokenEvent{What: APITokenLimited, Token: *t, Address: from, Reason: limited.What})
	}
	for _, d := range denials {
		if errors.Is(err, d.err) {
			s.Event(ctx, APITokenEvent{What: APITokenDenied, Token: *t, Address: from, Reason: d.reason})
		}
	}
	return err
}

// denials are the reasons for which a token is denied, in a word.
var denials = []struct {
	err    error
	reason string
}{
	{ErrExpiredAPIToken, "expired"}, {ErrRevokedAPIToken, "revoked"}, {ErrRolledAPIToken, "old_secret"},
	{ErrEarlyAPIToken, "not_before"}, {ErrAddressAPIToken, "address"}, {ErrOwnerAPIToken, "owner"},
}
