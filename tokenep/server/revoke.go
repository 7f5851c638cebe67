package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// LongestTTL returns how long a token of this configuration can live.
func (c *Config) LongestTTL() time.Duration {
	ttl := c.TokenTTL
	for i := range c.Clients {
		ttl = max(ttl, time.Duration(c.Clients[i].AccessTokenTTL))
	}
	return ttl
}

// longestChain returns how long after its issue a token of this configuration, or what came of it,
// can be good. Revocations and keys are kept for as long.
func (c *Config) longestChain() time.Duration { return max(c.LongestTTL(), c.Exchange.MaxChain) }

// TokenLife returns how long an access token that was issued until now, or what came of it, can be
// good: longer than this configuration allows if an earlier one allowed more. It is known from
// Start on.
func (s *Server) TokenLife() time.Duration {
	return max(s.Config.longestChain(), s.Keys.Current().TokenLife(s.Config.Now()))
}

// loadChain notes since when chains of exchanges may last as long as they do now. A configuration
// that takes over while the store is away goes by what this process knows.
func (s *Server) loadChain(ctx context.Context) error {
	now := s.nextChain()
	stored, err := state.NextChain(ctx, s.Config.Store, s.Config.Exchange.MaxChain, s.Config.Now)
	switch {
	case errors.Is(err, store.ErrUnavailable) && s.Keys.Inherited():
	case err != nil:
		return err
	case s.Config.Memory.chain.Load() == nil || stored.Since.After(now.Since):
		now = stored
	}
	s.chain.Store(&now)
	s.Config.Memory.chain.Store(&now)
	return nil
}

// nextChain returns the chain of this configuration, as far as this process knows.
func (s *Server) nextChain() state.Chain {
	var before state.Chain
	if known := s.Config.Memory.chain.Load(); known != nil {
		before = *known
	}
	return before.Next(s.Config.Exchange.MaxChain, s.Config.Now())
}

// chainsSince returns since when chains of exchanges may last as long as they do now: what was
// revoked before may be forgotten while something that came of it could be renewed.
func (s *Server) chainsSince() time.Time {
	if started := s.chain.Load(); started != nil {
		return started.Since
	}
	return s.nextChain().Since
}

// completeRevocation fills in and checks what a configuration says of revocations.
func (c *Config) completeRevocation() error {
	if c.RevocationInterval == 0 {
		c.RevocationInterval = state.DefaultInterval
	}
	if err := CheckRevocationInterval(c.RevocationInterval); err != nil || c.RevocationMaxAge == 0 {
		return err
	}
	return CheckRevocationMaxAge(c.RevocationMaxAge)
}

// RevokeToken makes verifiers refuse an access token by its jti, and all tokens that came of it,
// which have it among their ancestors: verifiers of this process from the next request on, others
// within their RevocationInterval. expires is the exp of the token; zero if that is not known.
func (s *Server) RevokeToken(ctx context.Context, jti string, expires time.Time) error {
	return s.Revocations.Add(ctx, verify.Revocation{Claim: "jti", Value: jti, Expires: s.lastUse(expires)})
}

// How many entries the log of revocations has at a time for those who revoke tokens of their own:
// for an API token, and for a client, or a policy, and one of the authorizations or subjects of its
// tokens.
const (
	mostOfAPIToken = 200
	mostOfClient   = 2000
)

// retryRevocation is the Retry-After where the log has no room: RFC 7009 §2.2.1 has a client assume
// that the token is still good, and try again.
const retryRevocation = time.Minute

// revokeOwn is RevokeToken for who holds the token, within the room that the log has for them. c is
// the client that has authenticated, or a public one; nil: nobody.
//
// What one client has authenticated for, one API token, or one family, has one holder, who may lose
// more than this token. All else with the same client_id and sub is that of others too: instances
// of a public client, or whoever has another token for the same policy.
func (s *Server) revokeOwn(ctx context.Context, c *tokenep.Client, t *verify.Token) error {
	one := verify.Revocation{Claim: "jti", Value: t.ID, Expires: s.lastUse(t.Expires)}
	all := verify.Revocation{
		Claim: "grant_id", Value: t.GrantID, ClientID: t.ClientID, Before: t.IssuedAt, Expires: s.lastExpiry(s.Config.Now()),
	}
	if t.GrantID == "" || isPolicy(t.GrantID) { // which is that of other subjects too
		all.Claim, all.Value = "sub", t.Subject
	}
	ofAPIToken := strings.HasPrefix(t.ClientID, tokenep.APITokenClientPrefix)
	switch authenticated := c != nil && !c.Public(); {
	case ofAPIToken:
		return s.Revocations.AddOwn(ctx, one, all, mostOfAPIToken)
	case authenticated, state.IsFamilyID(t.GrantID):
		return s.Revocations.AddOwn(ctx, one, all, mostOfClient)
	}
	err := s.Revocations.AddShared(ctx, one, all, mostOfClient)
	if errors.Is(err, state.ErrNoRoom) {
		full := tokenep.TemporarilyUnavailable.Describe("too many of these tokens were revoked lately; the token is still good: try again later").Because(err)
		full.RetryAfter = retryRevocation
		return full
	}
	return err
}

// isPolicy reports whether a grant_id is that of a policy for tokens of others.
func isPolicy(grantID string) bool { return strings.HasPrefix(grantID, tokenep.PolicyGrantPrefix) }

// RevokeGrant makes verifiers refuse the access tokens that came of one authorization, by its
// grant_id, and ends what others could come of: its refresh token, or the API token of this id. Of
// a policy they refuse those that were issued until now.
func (s *Server) RevokeGrant(ctx context.Context, grantID string) error {
	if isPolicy(grantID) {
		return s.revokeIssued(ctx, "grant_id", grantID)
	}
	err := s.Revocations.Add(ctx, verify.Revocation{
		Claim: "grant_id", Value: grantID, Expires: s.lastExpiry(s.Config.Now()),
	})
	if err != nil {
		return err
	}
	return s.finish(ctx)
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
	return s.revokeIssuedUntil(ctx, claim, value, s.Config.Now())
}

func (s *Server) revokeIssuedUntil(ctx context.Context, claim, value string, until time.Time) error {
	return s.Revocations.Add(ctx, verify.Revocation{
		Claim: claim, Value: value, Before: until, Expires: s.lastExpiry(until),
	})
}

// lastExpiry returns when the last token that was issued until now is dead to every verifier.
func (s *Server) lastExpiry(now time.Time) time.Time {
	return now.Add(s.TokenLife() + verify.MaxLeeway)
}

// lastUse returns when a token that expires then, and all that came of it, is dead to every
// verifier; a zero time is not known.
func (s *Server) lastUse(expires time.Time) time.Time {
	if last := s.lastExpiry(s.Config.Now()); expires.IsZero() || s.Config.Exchange.MaxChain > 0 {
		return last
	}
	return expires.Add(verify.MaxLeeway)
}

// finish ends the refresh tokens and API tokens whose access tokens were ended: see
// state.Families.Finish.
func (s *Server) finish(ctx context.Context) error {
	if err := s.Families.Finish(ctx); err != nil {
		return err
	}
	if t := s.apiTokens(); t != nil {
		return t.Finish(ctx)
	}
	return nil
}

// finishOthers finishes what the process that ran before has died over.
func (s *Server) finishOthers(ctx context.Context) {
	if err := verify.Contain(func() error { return s.finish(ctx) }); err != nil && ctx.Err() == nil {
		s.Config.Logger.Error("revocations that were interrupted are not finished; the next use or start does it", "error", err)
	}
}
