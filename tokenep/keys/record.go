package keys

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// The ring is one record, which never expires.
const (
	recordKind = "signing_keys"
	recordID   = "ring"
)

// stored is one key in the record. Its state is not written down: it follows
// from which of the times are set.
type stored struct {
	ID        string        `json:"kid"`
	Algorithm string        `json:"alg"`
	Created   time.Time     `json:"created"`
	Activated time.Time     `json:"activated,omitzero"`
	Retired   time.Time     `json:"retired,omitzero"`
	Retain    time.Duration `json:"retain,omitzero"` // nanoseconds
	Private   []byte        `json:"private"`         // PKCS #8, RFC 5958
}

// encodeRing gives the record's data, before seal. Private keys leave the process
// here and nowhere else.
func encodeRing(keys []entry) ([]byte, error) {
	out := make([]stored, len(keys))
	for i, e := range keys {
		private, err := x509.MarshalPKCS8PrivateKey(e.key.private)
		if err != nil {
			return nil, fmt.Errorf("keys: encode %s: %w", e.key.ID, err)
		}
		out[i] = stored{
			ID: e.key.ID, Algorithm: e.key.Algorithm,
			Created: e.created, Activated: e.activated, Retired: e.retired, Retain: e.retain,
			Private: private,
		}
	}
	return json.Marshal(struct {
		Keys []stored `json:"keys"`
	}{out})
}

// open reads a record, and reports whether it is stored as it would be stored now.
func (r *Ring) open(rec store.Record, known map[string]*Key) (keys []entry, current bool, err error) {
	data, current, err := r.s.Open(recordKind, recordID, rec.Data)
	if err != nil {
		return nil, false, fmt.Errorf("keys: the stored signing keys %w", err)
	}
	keys, err = decodeRing(data, known)
	return keys, current, err
}

// decodeRing reads what encodeRing wrote. Keys that are known already are taken
// over, so that a key stays one pointer for as long as it is in the ring.
func decodeRing(data []byte, known map[string]*Key) ([]entry, error) {
	var in struct {
		Keys []stored `json:"keys"`
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
		return nil, fmt.Errorf("keys: the stored ring has %d active keys", active)
	}
	return out, nil
}

func decodeKey(s stored) (*Key, error) {
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
