package state

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

const (
	kindSecret       = "secret" // id: what for; never expires
	refreshKeyID     = "refresh_token_key"
	minRefreshKey    = 32 // bytes
	refreshKeyLength = 32 // bytes
)

type storedSecret struct {
	Secret []byte `json:"secret"`
}

// RefreshKey returns the key of the MACs of refresh tokens for a server to which none is given: made once, and kept in the
// store, so that all nodes have the same one. Of two that make one at the same time, one is refused and takes the other's.
//
// It is for the start of a server: a key that is stored in clear, or under an older encryption key, is sealed anew. One that
// cannot be decrypted is left as it is, and the error Is seal.ErrSealed: another one would sign every user out.
func RefreshKey(ctx context.Context, s store.Store, seals seal.Seals) ([]byte, error) {
	for range swapAttempts {
		key, err := refreshKey(ctx, s, seals)
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) { // else another node was faster
			return key, err
		}
	}
	return nil, fmt.Errorf("the key of refresh tokens: %w", store.ErrConflict)
}

func refreshKey(ctx context.Context, s store.Store, seals seal.Seals) ([]byte, error) {
	record, err := s.Load(ctx, kindSecret, refreshKeyID)
	if errors.Is(err, store.ErrNotFound) {
		return makeRefreshKey(ctx, s, seals)
	}
	if err != nil {
		return nil, fmt.Errorf("loading the key of refresh tokens: %w", err)
	}
	data, current, err := seals.Open(kindSecret, refreshKeyID, record.Data)
	if err != nil {
		return nil, fmt.Errorf("the stored keys of refresh tokens %w", err)
	}
	var kept storedSecret
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, fmt.Errorf("the record of the key of refresh tokens is damaged: %w", err)
	}
	if len(kept.Secret) < minRefreshKey {
		return nil, fmt.Errorf("the key of refresh tokens in the store has %d bytes", len(kept.Secret))
	}
	if !current {
		next := record
		next.Data = seals.Seal(kindSecret, refreshKeyID, data)
		if err := s.Swap(ctx, record, next); err != nil {
			return nil, fmt.Errorf("sealing the key of refresh tokens: %w", err)
		}
	}
	return kept.Secret, nil
}

func makeRefreshKey(ctx context.Context, s store.Store, seals seal.Seals) ([]byte, error) {
	made := storedSecret{make([]byte, refreshKeyLength)}
	rand.Read(made.Secret) // never fails: crypto/rand ends the program instead
	data, err := json.Marshal(made)
	if err == nil {
		err = s.Insert(ctx, store.Record{Kind: kindSecret, ID: refreshKeyID, Data: seals.Seal(kindSecret, refreshKeyID, data)})
	}
	if err != nil {
		return nil, fmt.Errorf("storing the key of refresh tokens: %w", err)
	}
	return made.Secret, nil
}
