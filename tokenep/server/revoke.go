package server

import (
	"context"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RevokeToken makes verifiers refuse an access token by its jti, and all tokens that came of it,
// which have it among their ancestors: verifiers of this process from the next request on, others
// within their RevocationInterval. expires is the exp of the token; zero if that is not known.
func (s *Server) RevokeToken(ctx context.Context, jti string, expires time.Time) error {
	last := expires.Add(verify.MaxLeeway)
	if expires.IsZero() {
		last = s.lastExpiry(s.Config.Now())
	}
	return s.Revocations.Add(ctx, verify.Revocation{Claim: "jti", Value: jti, Expires: last})
}

// RevokeGrant makes verifiers refuse the access tokens that came of one authorization, by its
// grant_id, and those that will come of it.
func (s *Server) RevokeGrant(ctx context.Context, grantID string) error {
	return s.Revocations.Add(ctx, verify.Revocation{
		Claim: "grant_id", Value: grantID, Expires: s.lastExpiry(s.Config.Now()),
	})
}

// RevokeClient makes verifiers refuse the access tokens that a client was issued until now, and
// what came of them.
func (s *Server) RevokeClient(ctx context.Context, clientID string) error {
	return s.revokeIssued(ctx, "client_id", clientID)
}

// RevokeSubject makes verifiers refuse the access tokens that were issued until now for a subject,
// and those in which it acts for another.
func (s *Server) RevokeSubject(ctx context.Context, subject string) error {
	return s.revokeIssued(ctx, "sub", subject)
}

func (s *Server) revokeIssued(ctx context.Context, claim, value string) error {
	now := s.Config.Now()
	return s.Revocations.Add(ctx, verify.Revocation{
		Claim: claim, Value: value, Before: now, Expires: s.lastExpiry(now),
	})
}

// lastExpiry returns when the last token that was issued until now is dead to every verifier.
func (s *Server) lastExpiry(now time.Time) time.Time {
	return now.Add(s.TokenLife() + verify.MaxLeeway)
}
