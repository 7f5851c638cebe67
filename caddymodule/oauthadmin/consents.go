package oauthadmin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// consentPage is a page of consents. Next is ?after for the next page, and empty on the last one.
type consentPage struct {
	Consents []state.Consent `json:"consents"`
	Next     string          `json:"next,omitempty"`
}

// listConsents returns a page of what people have allowed clients; with ?sub, one person.
func listConsents(r *request) (any, error) {
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	page := consentPage{Consents: []state.Consent{}}
	listed, next, err := r.server.Server().Consents.List(r.Context(), r.URL.Query().Get("sub"), after, limit)
	if err != nil {
		return nil, err
	}
	page.Consents, page.Next = append(page.Consents, listed...), next
	return page, nil
}

// revokedConsent is the request to revoke a consent, or all of a person.
type revokedConsent struct {
	Subject  string `json:"sub"`
	ClientID string `json:"client_id,omitempty"` // default: all clients
}

// revokeConsent revokes what a person has allowed, and ends all that came of it.
func revokeConsent(r *request) (any, error) {
	var in revokedConsent
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if in.Subject == "" {
		return nil, refuse(http.StatusBadRequest, "sub: is required")
	}
	clients := []string{in.ClientID}
	if in.ClientID == "" {
		var err error
		if clients, err = r.clientsOf(in.Subject); err != nil {
			return nil, err
		}
	}
	s := r.server.Server()
	revoked := 0
	for _, client := range clients {
		err := s.Consents.Revoke(r.Context(), in.Subject, client)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		revoked++
		s.Config.Logger.LogAttrs(r.Context(), slog.LevelInfo, "consent revoked", slog.String("sub", in.Subject), slog.String("client", client))
	}
	if revoked == 0 {
		return nil, fmt.Errorf("this user has allowed that to nobody: %w", store.ErrNotFound)
	}
	return nil, nil
}

// clientsOf returns the clients which a person has allowed something.
func (r *request) clientsOf(subject string) (clients []string, err error) {
	for after, more := "", true; more; more = after != "" {
		page, next, err := r.server.Server().Consents.List(r.Context(), subject, after, store.MaxPage)
		if err != nil {
			return nil, err
		}
		for i := range page {
			clients = append(clients, page[i].ClientID)
		}
		after = next
	}
	return clients, nil
}
