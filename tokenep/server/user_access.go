package server

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// UserAccess is what a user has, as far as this server knows.
type UserAccess struct {
	state.KnownUser
	Sessions  int `json:"sessions"`
	Clients   int `json:"clients"`    // which the user has allowed something
	APITokens int `json:"api_tokens"` // neither revoked nor expired
}

// FindUser returns what a user has. Of somebody who is unknown, that is nothing.
func (s *Server) FindUser(ctx context.Context, subject string) (found UserAccess, err error) {
	found.Subject = subject
	if found.UserStatus, err = s.users().Status(ctx, subject); err != nil {
		return found, err
	}
	sessions, err := s.Sessions.List(ctx, subject)
	if err != nil {
		return found, err
	}
	found.Sessions = len(sessions)
	for after, more := "", true; more; more = after != "" {
		consents, next, err := s.Consents.List(ctx, subject, after, store.MaxPage)
		if err != nil {
			return found, err
		}
		found.Clients, after = found.Clients+len(consents), next
	}
	found.APITokens, err = s.liveAPITokens(ctx, subject)
	return found, err
}

// liveAPITokens counts those of an owner.
func (s *Server) liveAPITokens(ctx context.Context, owner string) (n int, err error) {
	t := s.apiTokens()
	if t == nil {
		return 0, nil
	}
	now := s.Config.Now()
	for after := ""; ; {
		page, err := t.List(ctx, owner, after, store.MaxPage)
		if err != nil || len(page) == 0 {
			return n, err
		}
		for i := range page {
			if page[i].Revoked.IsZero() && !page[i].Expired(now) {
				n++
			}
			after = page[i].ID
		}
	}
}
