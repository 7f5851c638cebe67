package oauthadmin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// userPage is a page of users. Next is ?after for the next page, and empty on the last one.
type userPage struct {
	Users []state.KnownUser `json:"users"`
	Next  string            `json:"next,omitempty"`
}

// listUsers returns a page of the users of whom something is kept.
func listUsers(r *request) (any, error) {
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	page := userPage{Users: []state.KnownUser{}}
	listed, next, err := r.server.Server().ListUsers(r.Context(), after, limit)
	page.Users, page.Next = append(page.Users, listed...), next
	return page, err
}

// showUser returns what a user has. Nothing is no error: users are not made here.
func showUser(r *request) (any, error) {
	if err := r.checkUser(); err != nil {
		return nil, err
	}
	return r.server.Server().FindUser(r.Context(), r.id)
}

// checkUser refuses what is in the place of a user and cannot be one: nobody would be disabled, and
// the answer would say that somebody was.
func (r *request) checkUser() error {
	err := checkRevoked(r.id, "give the name of its user")
	switch {
	case r.id == "":
		err = errors.New("it must not be empty")
	case err == nil:
		err = state.CheckSubject(r.id)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "user: %w", err)
	}
	return nil
}

func disableUser(r *request) (any, error) {
	return nil, r.decideUser("user disabled", r.server.Server().DisableUser)
}

func enableUser(r *request) (any, error) {
	return nil, r.decideUser("user enabled", r.server.Server().EnableUser)
}

func revokeUser(r *request) (any, error) {
	return nil, r.decideUser("user revoked", r.server.Server().RevokeUser)
}

// decideUser does something to a user, and says so in the log.
func (r *request) decideUser(event string, decide func(ctx context.Context, subject string) error) error {
	err := r.checkUser()
	if err == nil {
		err = decide(r.Context(), r.id)
	}
	if err == nil {
		r.server.Server().Config.Logger.LogAttrs(r.Context(), slog.LevelInfo, event, slog.String("sub", r.id))
	}
	return err
}

// userSessions is the sessions of a user, the last used first.
type userSessions struct {
	Sessions []state.Session `json:"sessions"`
}

func listSessions(r *request) (any, error) {
	if err := r.checkUser(); err != nil {
		return nil, err
	}
	sessions, err := r.server.Server().Sessions.List(r.Context(), r.id)
	return userSessions{append([]state.Session{}, sessions...)}, err
}

// endedSessions says which sessions of a user end: one, or all.
type endedSessions struct {
	ID  string `json:"id,omitempty"`
	All bool   `json:"all,omitempty"`
}

// endSessions ends a session of a user, or all; where there are none, all is no error.
func endSessions(r *request) (any, error) {
	var in endedSessions
	if err := r.checkUser(); err != nil {
		return nil, err
	}
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if (in.ID == "") != in.All {
		return nil, refuse(http.StatusBadRequest, "exactly one of id and all is required")
	}
	s := r.server.Server()
	if in.All {
		return nil, r.decideUser("all sessions ended", s.Sessions.EndAll)
	}
	sessions, err := s.Sessions.List(r.Context(), r.id)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(sessions, func(x state.Session) bool { return x.ID == in.ID }) {
		return nil, refuse(http.StatusNotFound, "the user has no session with this id")
	}
	if err := s.Sessions.End(r.Context(), r.id, in.ID); err != nil {
		return nil, err
	}
	s.Config.Logger.LogAttrs(r.Context(), slog.LevelInfo, "session ended", slog.String("sub", r.id), slog.String("session", in.ID))
	return nil, nil
}
