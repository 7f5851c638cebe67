package keys

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// ErrNotStarted is returned by Active while there is no ring.
var ErrNotStarted = errors.New("keys: the ring has not been started")

// snapshot is the ring as requests see it: immutable, and replaced as a whole.
type snapshot struct {
	record store.Record // what it was read from
	sealed bool         // the record is stored as it would be stored now
	keys   []entry
	byID   map[string]*Key
	active *Key
	jwks   []byte
	etag   string
}

// Active returns the key that signs. It fails with ErrNotStarted before Start.
func (r *Ring) Active() (*Key, error) {
	s := r.now.Load()
	if s == nil {
		return nil, ErrNotStarted
	}
	return s.active, nil
}

// Key makes the ring a verify.KeySet over every published key: next, active and
// retired. A key answers to its own algorithm only, where EdDSA and Ed25519 are
// one algorithm under two names (RFC 9864 §2.2). Every key has an id, so an
// empty kid never names one.
//
// A key that is in memory is found there, without a wait. Another process may have
// put a key in use since the last Refresh, so for a kid that is not, the stored ring
// is read, once a second at most (look.go): the error is verify.ErrUnavailable for as
// long as it could not be, and verify.ErrUnknownKey when the kid is not there either.
// The context bounds the wait for that.
func (r *Ring) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	s := r.now.Load()
	if s == nil {
		return nil, fmt.Errorf("%w: %w", verify.ErrUnavailable, ErrNotStarted)
	}
	key, ok := s.byID[kid]
	if !ok && kid != "" {
		if err := r.look(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", verify.ErrUnavailable, err)
		}
		key, ok = r.now.Load().byID[kid]
	}
	if !ok || sameName(key.Algorithm) != sameName(alg) {
		return nil, verify.ErrUnknownKey
	}
	return key.public, nil
}

func sameName(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// JWKS returns the published key set (RFC 7517 §5), public members only, with
// kid, use and alg, and a strong entity tag for it (RFC 9110 §8.8.3). The body
// must not be changed. Before Start it is an empty set without a tag.
func (r *Ring) JWKS() (body []byte, etag string) {
	s := r.now.Load()
	if s == nil {
		return []byte(`{"keys":[]}`), ""
	}
	return s.jwks, s.etag
}

// Info describes a published key to an operator.
type Info struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	State     State     `json:"state"`
	Created   time.Time `json:"created,omitzero"`   // published since; of a given key nobody knows
	Activated time.Time `json:"activated,omitzero"` // signed from then on
	Retired   time.Time `json:"retired,omitzero"`   // signed until then
	Expires   time.Time `json:"expires,omitzero"`   // of a retired key: when it leaves the key set
}

// List returns every published key: the active one, the next or standby ones, then
// the retired ones, newest first. It is the order of the key set too, for verifiers
// that look no further than its first key.
func (r *Ring) List() []Info {
	s := r.now.Load()
	if s == nil {
		return nil
	}
	out := make([]Info, len(s.keys))
	for i, e := range s.keys {
		out[i] = Info{
			ID: e.key.ID, Algorithm: e.key.Algorithm, State: e.state(),
			Created: e.created, Activated: e.activated, Retired: e.retired,
		}
		if out[i].State == Retired {
			out[i].Expires = e.gone()
		}
	}
	return out
}

// TokenLife is for how long at most a token that was signed until now is good:
// the configuration of before may have promised more than that of now. Zero
// before Start.
func (r *Ring) TokenLife() time.Duration {
	s := r.now.Load()
	if s == nil {
		return 0
	}
	life := time.Duration(0)
	for _, e := range s.keys {
		switch e.state() {
		case Active:
			life = max(life, e.retain)
		case Retired:
			life = max(life, min(e.gone().Sub(r.clock()), e.retain))
		}
	}
	return life
}

// newSnapshot computes all that requests will ask.
func newSnapshot(rec store.Record, sealed bool, keys []entry) (*snapshot, error) {
	keys = slices.SortedStableFunc(slices.Values(keys), byRank)
	s := &snapshot{record: rec, sealed: sealed, keys: keys, byID: make(map[string]*Key, len(keys)), active: keys[0].key}
	set := jwk.NewSet()
	for _, e := range keys {
		s.byID[e.key.ID] = e.key
		if err := set.AddKey(e.key.jwk); err != nil {
			return nil, fmt.Errorf("keys: key set: %w", err)
		}
	}
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("keys: key set: %w", err)
	}
	sum := sha256.Sum256(body)
	s.jwks, s.etag = body, `"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`
	return s, nil
}

// byRank orders keys as List promises.
func byRank(a, b entry) int {
	rank := map[State]int{Active: 0, Next: 1, Standby: 1, Retired: 2}
	if d := rank[a.state()] - rank[b.state()]; d != 0 {
		return d
	}
	if d := b.retired.Compare(a.retired); d != 0 {
		return d
	}
	return strings.Compare(a.key.ID, b.key.ID)
}
