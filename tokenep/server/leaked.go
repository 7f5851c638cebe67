package server

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// Reports of leaked credentials that are taken in an hour, and the credentials that wait at a time.
// Of more, those that came last are dropped: whoever finds them may tell again.
const (
	leaksPerAddress = 60
	leaksInAll      = 6000
	maxLeaks        = 8192
	leakRetry       = 5 * time.Second
	leakTries       = 100 // of one: others wait behind it
)

// leaked is the endpoint for credentials that were found where they should not be.
func (s *Server) leaked() tokenep.Endpoint {
	return endpoint.Leaked{Front: s.front, Pace: s.Config.Memory.leakPace, Report: s.reportLeak}.Endpoint()
}

// reportLeak takes a credential that may be one of this server's, told by its form alone.
func (s *Server) reportLeak(credential string) {
	tokens := s.apiTokens()
	_, _, isSecret := registry.ParseSecret(credential)
	if !isSecret && !state.IsRefreshToken(credential) && (tokens == nil || !tokens.Recognizes(credential)) {
		return
	}
	select {
	case s.Config.Memory.leaks <- credential:
	default:
		s.Config.Logger.Warn("so many leaked credentials were reported that some are left out")
	}
}

// revokeLeaked revokes what was reported, one after the other, until ctx is done.
func (s *Server) revokeLeaked(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case credential := <-s.Config.Memory.leaks:
			for tries := 0; tries < leakTries && s.endLeaked(ctx, credential) != nil; tries++ {
				select {
				case <-ctx.Done():
					s.reportLeak(credential) // for the configuration that takes over
					return
				case <-time.After(leakRetry):
				}
			}
		}
	}
}

// endLeaked revokes one credential, if it is live. An error means that it is not known.
func (s *Server) endLeaked(ctx context.Context, credential string) error {
	if id, _, ok := registry.ParseSecret(credential); ok {
		ended, err := s.Clients.EndSecret(ctx, id, credential)
		if ended {
			s.Config.Logger.Warn("the secret of a client was leaked; it has ended, and so have the client's tokens: add the client anew", "client", id)
		}
		return s.leakFailed(err)
	}
	if state.IsRefreshToken(credential) {
		ended := state.Family{}
		err := s.Families.RevokeToken(ctx, credential, func(f state.Family) error {
			ended = f
			return nil
		})
		if err == nil && ended.ID != "" {
			s.front.Log.Event(ctx, "refresh token leaked, and revoked",
				slog.String("client", ended.ClientID), slog.String("sub", ended.Subject), slog.String("grant_id", ended.ID))
		}
		return s.leakFailed(err)
	}
	tokens := s.apiTokens()
	if tokens == nil {
		return nil // it was reported to a configuration that had some
	}
	_, err := tokens.RevokeLeaked(ctx, credential)
	return s.leakFailed(err)
}

// leakFailed returns the errors after which a credential may still be live.
func (s *Server) leakFailed(err error) error {
	if err == nil || errors.Is(err, state.ErrRefused) || errors.Is(err, state.ErrBadAPIToken) || errors.Is(err, tokenep.InvalidClient) {
		return nil
	}
	s.Config.Logger.Error("a leaked credential could not be revoked; it is tried again", "error", err)
	return err
}

// SecretPatterns returns regular expressions, for secret scanners, of the credentials that this
// server generates, by their kinds.
func (s *Server) SecretPatterns() map[string]string {
	patterns := map[string]string{"refresh_token": state.RefreshTokenPattern, "client_secret": registry.SecretPattern}
	if t := s.apiTokens(); t != nil {
		patterns["api_token"] = state.APITokenPattern(regexp.QuoteMeta(t.Prefix))
	}
	return patterns
}
