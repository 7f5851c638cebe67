package registry

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// maxRegistered bounds what a client that registers itself makes the store keep, in bytes.
const maxRegistered = 32 << 10

// registered is the record of a client that registered itself. It is read as a client as well.
type registered struct {
	tokenep.Client

	// The hash of its registration access token (RFC 7592 §3); empty: nobody can manage it.
	AccessToken string `json:"registration_access_token_hash,omitempty"`
}

// Registered is a client that has just registered itself, or changed its registration, with what
// is told to it alone.
type Registered struct {
	Client      tokenep.Client
	Secret      string // client_secret; empty: it has none, or still the one that it knows
	AccessToken string // registration_access_token (RFC 7592 §3); empty: there is none
}

// Register adds a client that asks for it (RFC 7591 §3) under an id that is made here. It is gone
// after unused, unless Use is called before. If it is managed, it gets a registration access token,
// for Authorized. The error Is state.ErrInvalid when c cannot be registered.
func (s Registry) Register(ctx context.Context, c tokenep.Client, unused time.Duration, managed bool) (r Registered, err error) {
	c.ID, c.SelfRegistered = rand.Text(), true
	if r.Secret, err = s.prepare(&c); err != nil {
		return r, err
	}
	end := s.Now().Add(unused)
	c.UnusedUntil = end.Unix()
	v := registered{Client: c}
	if managed {
		r.AccessToken = state.GenerateSecret()
		v.AccessToken = tokenep.HashSecret(r.AccessToken)
	}
	if err := checkSize(v); err != nil {
		return r, err
	}
	if err := record.Insert(ctx, s.Store, kindClient, c.ID, v, end); err != nil {
		return r, fmt.Errorf("registering a client: %w", err)
	}
	r.Client = c
	return r, nil
}

// Use notes that a client is in use, which has been loaded and is about to get something, so that
// its registration does not end. That is one write in the life of a client that registered itself,
// and none for others. The error Is tokenep.InvalidClient when the client is gone.
func (s Registry) Use(ctx context.Context, c *tokenep.Client) error {
	if c == nil || c.UnusedUntil == 0 {
		return nil
	}
	_, err := s.change(ctx, c.ID, func(v *registered) (bool, error) {
		switch {
		case v.RegistrationID != c.RegistrationID:
			return false, fmt.Errorf("client %q was removed: %w", c.ID, tokenep.InvalidClient)
		case v.UnusedUntil == 0:
			return false, nil
		}
		v.UnusedUntil = 0
		return true, nil
	})
	return err
}

// Authorized returns a client if this is its registration access token (RFC 7592 §2). The error Is
// tokenep.InvalidClient for an unknown id and for a wrong token alike.
func (s Registry) Authorized(ctx context.Context, id, token string) (*tokenep.Client, error) {
	if store.CheckKey(kindClient, id) != nil {
		return nil, tokenep.InvalidClient
	}
	r, err := record.Load[registered](ctx, s.Store, kindClient, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && s.over(r.Record), err == nil && !r.Value.opens(token):
		return nil, fmt.Errorf("no client %q with this registration access token: %w", id, tokenep.InvalidClient)
	case err != nil:
		return nil, err
	}
	return &r.Value.Client, nil
}

// opens compares in constant time. Where there is no token, no hash is equal.
func (v *registered) opens(token string) bool {
	return subtle.ConstantTimeCompare([]byte(v.AccessToken), []byte(tokenep.HashSecret(token))) == 1
}

// Replace puts other metadata in the place of those of a client (RFC 7592 §2.2). Its id, its
// secret and its tokens stay; it gets a secret if it needs one and had none, and loses one that it
// needs no more. The errors are those of Register and Authorized.
func (s Registry) Replace(ctx context.Context, id, token string, c tokenep.Client) (r Registered, err error) {
	secret := newSecret(id)
	v, err := s.change(ctx, id, func(v *registered) (bool, error) {
		if !v.opens(token) {
			return false, tokenep.InvalidClient
		}
		if r.Secret, err = s.replace(&v.Client, c, secret); err != nil {
			return false, err
		}
		return true, checkSize(*v)
	})
	if err != nil {
		return Registered{}, err
	}
	r.Client, r.AccessToken = v.Client, token
	return r, nil
}

// change edits the record of a client, and keeps it for ever if it is in use.
func (s Registry) change(ctx context.Context, id string, edit func(v *registered) (write bool, err error)) (registered, error) {
	stored, err := record.Change(ctx, s.Store, kindClient, id, func(v *registered, expires *time.Time) (bool, error) {
		if s.over(store.Record{Expires: *expires}) {
			return false, store.ErrNotFound
		}
		write, err := edit(v)
		if err != nil {
			return false, err
		}
		if v.UnusedUntil == 0 {
			*expires = time.Time{}
		}
		return write, nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return registered{}, fmt.Errorf("no client %q in the store: %w", id, tokenep.InvalidClient)
	}
	if err != nil {
		return registered{}, err
	}
	return stored.Value, nil
}

// checkSize refuses what is too large to be kept for somebody who is not known.
func checkSize(v registered) error {
	text, err := json.Marshal(v)
	if err == nil && len(text) > maxRegistered {
		err = record.Invalidf("a registration has %d bytes, at most %d are allowed", len(text), maxRegistered)
	}
	return err
}
