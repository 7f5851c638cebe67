package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A ring is one record, which never expires. This is that of access tokens.
const (
	recordKind = "signing_keys"
	recordID   = "ring"
)

// record is the one record of the store that holds the ring, encrypted if there are keys for that.
type record struct {
	store store.Store
	seals seal.Seals
	id    string
}

// load returns the stored ring, or held if that is the stored version. Keys that held has too are
// taken from it, so that a key is one pointer for as long as it is in the ring. The error is
// store.ErrNotFound if there is no ring, and seal.ErrSealed if it cannot be decrypted.
func (r record) load(ctx context.Context, held *Set) (*Set, error) {
	rec, err := r.store.Load(ctx, recordKind, r.id)
	if err != nil {
		return nil, fmt.Errorf("keys: load the ring: %w", err)
	}
	if held.record.Version == rec.Version && bytes.Equal(held.record.Data, rec.Data) {
		return held, nil
	}
	data, sealedAsNow, err := r.seals.Open(recordKind, r.id, rec.Data)
	if err != nil {
		return nil, fmt.Errorf("keys: the stored signing keys %w", err)
	}
	keys, err := decodeRing(data, held.byID)
	if err != nil {
		return nil, err
	}
	set, err := newSet(rec, keys)
	if err != nil {
		return nil, err
	}
	set.stale = !sealedAsNow
	return set, nil
}

// insert stores the first ring, or returns store.ErrExists.
func (r record) insert(ctx context.Context, keys []entry) (*Set, error) {
	rec, err := r.encode(keys)
	if err != nil {
		return nil, err
	}
	if err := r.store.Insert(ctx, rec); err != nil {
		return nil, fmt.Errorf("keys: store the ring: %w", err)
	}
	rec.Version = 1
	return newSet(rec, keys)
}

// swap stores the keys if the stored version is still that of old; else it returns
// store.ErrConflict.
func (r record) swap(ctx context.Context, old *Set, keys []entry) (*Set, error) {
	rec, err := r.encode(keys)
	if err != nil {
		return nil, err
	}
	if err := r.store.Swap(ctx, old.record, rec); err != nil {
		return nil, fmt.Errorf("keys: store the ring: %w", err)
	}
	rec.Version = old.record.Version + 1
	return newSet(rec, keys)
}

func (r record) encode(keys []entry) (store.Record, error) {
	data, err := encodeRing(keys)
	if err != nil {
		return store.Record{}, err
	}
	rec := store.Record{Kind: recordKind, ID: r.id, Data: r.seals.Seal(recordKind, r.id, data)}
	if len(rec.Data) > store.MaxData {
		return store.Record{}, fmt.Errorf("%w: the ring has %d; %s", ErrFull, len(keys)-1, room(keys))
	}
	return rec, nil
}

// room says when there will be some in a ring that is full.
func room(keys []entry) string {
	var first time.Time
	for _, e := range keys {
		if e.state() == Retired && (first.IsZero() || e.gone().Before(first)) {
			first = e.gone()
		}
	}
	if first.IsZero() {
		return "withdraw one"
	}
	return "the next retired one goes at " + first.UTC().Format(time.RFC3339) + ", with the last token that it signed; or withdraw one"
}

// storedKey is one key in the record. Its state is not stored: it follows from which of the times
// are set.
type storedKey struct {
	ID        string        `json:"kid"`
	Algorithm string        `json:"alg"`
	Created   time.Time     `json:"created"`
	Activated time.Time     `json:"activated,omitzero"`
	Retired   time.Time     `json:"retired,omitzero"`
	Retain    time.Duration `json:"retain,omitzero"` // nanoseconds
	Private   []byte        `json:"private"`         // PKCS #8, RFC 5958
}

// encodeRing returns the record's data, not yet encrypted. Private keys leave the process here and
// nowhere else.
func encodeRing(keys []entry) ([]byte, error) {
	out := make([]storedKey, len(keys))
	for i, e := range keys {
		private, err := x509.MarshalPKCS8PrivateKey(e.key.private)
		if err != nil {
			return nil, fmt.Errorf("keys: encode %s: %w", e.key.ID, err)
		}
		out[i] = storedKey{
			ID: e.key.ID, Algorithm: e.key.Algorithm,
			Created: e.created, Activated: e.activated, Retired: e.retired, Retain: e.retain,
			Private: private,
		}
	}
	return json.Marshal(struct {
		Keys []storedKey `json:"keys"`
	}{out})
}

// decodeRing reads what encodeRing wrote, and takes keys from known where it can.
func decodeRing(data []byte, known map[string]*Key) ([]entry, error) {
	var in struct {
		Keys []storedKey `json:"keys"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("keys: the stored ring is unreadable: %w", err)
	}
	out := make([]entry, len(in.Keys))
	active := 0
	for i, s := range in.Keys {
		key, ok := known[s.ID]
		if !ok || key.Algorithm != s.Algorithm {
			var err error
			if key, err = decodeKey(s); err != nil {
				return nil, err
			}
		}
		out[i] = entry{key: key, created: s.Created, activated: s.Activated, retired: s.Retired, retain: s.Retain}
		if out[i].state() == Active {
			active++
		}
	}
	if active != 1 {
		return nil, fmt.Errorf("keys: expected one active key in the stored ring, got %d", active)
	}
	return out, nil
}

func decodeKey(s storedKey) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(s.Private)
	if err != nil {
		return nil, fmt.Errorf("keys: stored key %s: %w", s.ID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("keys: stored key %s is a %T, which cannot sign", s.ID, parsed)
	}
	key, err := newKey(s.Algorithm, private, "")
	if err != nil {
		return nil, err
	}
	if key.ID != s.ID {
		return nil, fmt.Errorf("keys: stored key %s has the thumbprint %s", s.ID, key.ID)
	}
	return key, nil
}
