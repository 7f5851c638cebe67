package state

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
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

// RefreshKey returns the key of the MACs of refresh tokens for a server that has none configured.
// It is made once and kept in the store, so that all nodes have the same one.
//
// Call it when a server starts: a key that is stored in clear, or under an older encryption key, is
// sealed anew. A key that cannot be decrypted is left as it is, and the error Is seal.ErrSealed: a
// new one would sign every user out.
func RefreshKey(ctx context.Context, s store.Store, seals seal.Seals) ([]byte, error) {
	var key []byte
	_, err := record.Edit(ctx, s, kindSecret, refreshKeyID, func(r *store.Record) (write bool, err error) {
		if r.Version == 0 {
			key = make([]byte, refreshKeyLength)
			rand.Read(key) // never fails: crypto/rand ends the program instead
			data, err := json.Marshal(storedSecret{key})
			r.Data = seals.Seal(kindSecret, refreshKeyID, data)
			return err == nil, err
		}
		data, current, err := seals.Open(kindSecret, refreshKeyID, r.Data)
		if err != nil {
			return false, fmt.Errorf("those in the store %w", err)
		}
		var kept storedSecret
		if err := json.Unmarshal(data, &kept); err != nil {
			return false, fmt.Errorf("the record is damaged: %w", err)
		}
		if key = kept.Secret; len(key) < minRefreshKey {
			return false, fmt.Errorf("the one in the store has %d bytes, expected at least %d", len(key), minRefreshKey)
		}
		r.Data = seals.Seal(kindSecret, refreshKeyID, data)
		return !current, nil
	})
	if err != nil {
		return nil, fmt.Errorf("keys of refresh tokens: %w", err)
	}
	return key, nil
}
