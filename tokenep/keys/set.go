package keys

import (
	"bytes"
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
)

// ErrNotStarted is returned by Ring.Active while there are no keys.
var ErrNotStarted = errors.New("keys: the ring has not been started")

// Set is all keys of a ring at one moment. It never changes: a ring replaces it as a whole.
type Set struct {
	entries []entry // in the order of List
	byID    map[string]*Key
	active  *Key
	jwks    []byte
	etag    string

	record store.Record // what it was read from; zero: not from the store
	stale  bool         // the record is in clear or under an older key, and should not be
}

// emptySet is current before Start.
var emptySet = &Set{jwks: []byte(jwksBegin + jwksEnd)}

// newSet computes in advance what requests will ask for. There is one active key in entries.
func newSet(from store.Record, entries []entry) (*Set, error) {
	entries = slices.SortedStableFunc(slices.Values(entries), byRank)
	s := &Set{entries: entries, byID: make(map[string]*Key, len(entries)), active: entries[0].key, record: from}
	public := jwk.NewSet()
	for _, e := range entries {
		s.byID[e.key.ID] = e.key
		if err := public.AddKey(e.key.jwk); err != nil {
			return nil, fmt.Errorf("keys: key set: %w", err)
		}
	}
	body, err := json.Marshal(public)
	if err != nil {
		return nil, fmt.Errorf("keys: key set: %w", err)
	}
	s.jwks, s.etag = body, entityTag(body)
	return s, nil
}

// byRank orders entries as List promises.
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

// JWKS returns the key set that is published (RFC 7517 §5), public members only, with kid, use and
// alg, and a strong entity tag for it (RFC 9110 §8.8.3). The body must not be changed. Before Start
// it is an empty key set without a tag.
func (s *Set) JWKS() (body []byte, etag string) { return s.jwks, s.etag }

// JoinJWKS returns the key set of all rings, and its tag, as JWKS does for one.
func JoinJWKS(rings []*Ring) (body []byte, etag string) {
	first, etag := rings[0].Current().JWKS()
	if len(rings) == 1 {
		return first, etag
	}
	body = []byte(jwksBegin)
	for _, ring := range rings {
		set, _ := ring.Current().JWKS()
		keys := bytes.TrimSuffix(bytes.TrimPrefix(set, []byte(jwksBegin)), []byte(jwksEnd))
		if len(keys) > 0 && len(body) > len(jwksBegin) {
			body = append(body, ',')
		}
		body = append(body, keys...)
	}
	body = append(body, jwksEnd...)
	return body, entityTag(body)
}

// A key set begins and ends like this.
const (
	jwksBegin = `{"keys":[`
	jwksEnd   = `]}`
)

func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// Info describes a published key to an operator.
type Info struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	State     State     `json:"state"`
	Created   time.Time `json:"created,omitzero"`   // and published; zero for a given key
	Activated time.Time `json:"activated,omitzero"` // when it began to sign
	Retired   time.Time `json:"retired,omitzero"`   // when it stopped
	Expires   time.Time `json:"expires,omitzero"`   // when a retired key leaves the key set
}

// List returns all keys: the active one, the next or standby ones, then the retired ones, newest
// first. The key set has the same order, for verifiers that only use its first key.
func (s *Set) List() []Info {
	out := make([]Info, len(s.entries))
	for i, e := range s.entries {
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

// TokenLife returns how long from now a token can still be valid that a key of the set has signed:
// an earlier configuration may have issued tokens for longer than the present one does. It is zero
// for an empty set.
func (s *Set) TokenLife(now time.Time) time.Duration {
	now = now.Truncate(time.Second) // as times are stored
	life := time.Duration(0)
	for _, e := range s.entries {
		switch e.state() {
		case Active:
			life = max(life, e.retain)
		case Retired:
			life = max(life, min(e.gone().Sub(now), e.retain))
		}
	}
	return life
}
