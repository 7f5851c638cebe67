package endpoint

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Health says whether a server can do its work: for load balancers, probes and people. It is no
// endpoint of an RFC; GET and HEAD are answered, without credentials.
//
// The status of the whole is the worst one of its parts. It is "failing", and the answer 503
// (RFC 9110 §15.6.4), when this process can neither issue nor verify: it has no signing keys, or
// has not followed the revocations for longer than RevocationMaxAge. It is "degraded", with 200,
// when something is away that some requests need. That is so for the store: without it tokens are
// verified, and issued to the clients of the configuration. All processes of a server share it, and
// a load balancer that took all of them away would make an outage of everything out of one of some
// grants. Otherwise it is "ok".
//
//	{"status": "degraded",
//	 "keys": [{"status": "ok", "age_seconds": 86400, "signs": "access_token", "alg": "ES256",
//	           "next_age_seconds": 86400}],
//	 "store": {"status": "degraded"},
//	 "revocations": {"status": "ok", "age_seconds": 3, "max_age_seconds": 60},
//	 "key_sets": [{"status": "ok", "age_seconds": 12, "issuer": "https://idp.example",
//	               "state": "fresh"}],
//	 "users": {"status": "ok", "age_seconds": 5}}
//
// The age of keys is for how long the active key has signed, and for how long the next one has been
// published; files have none. That of revocations is how long ago they were complete, that of a key
// set how long ago it was the current one, and that of users how long ago the source was asked.
// What does not exist, or was never done, is left out.
type Health struct {
	Rings       []*keys.Ring        // that of access tokens first
	Store       store.Store         // is asked for a record, once a second at most
	Revocations *verify.Revocations // of this server, as this process knows them

	// RevocationMaxAge is after how long verifiers refuse everything; 0: never.
	RevocationMaxAge time.Duration

	KeySets func() []ForeignKeys // of other issuers; nil: there are none
	Now     func() time.Time

	// Users returns when the source of users was asked last, and why it did not know; nil: there is
	// none.
	Users func() (asked time.Time, err error)

	mu     sync.Mutex // held while the store is asked
	asked  time.Time
	answer error
}

// ForeignKeys are the keys of another issuer.
type ForeignKeys struct {
	Issuer string
	Keys   *verify.URLKeys
}

// condition is how well something is; the worst one counts for the whole.
type condition string

const (
	well     condition = "ok"
	degraded condition = "degraded"
	failing  condition = "failing"
)

func (c condition) or(other condition) condition {
	if c == failing || other == failing {
		return failing
	}
	if c == degraded || other == degraded {
		return degraded
	}
	return well
}

// The bounds of what is good.
const (
	storeAskedFor    = time.Second      // of one probe of the store
	storeAskedEvery  = time.Second      // other requests get the answer of the last one
	revocationsGood  = 10 * time.Second // since they were complete; a look takes 3 s at most
	healthRecordKind = "health"         // no record is of this kind
)

// part is what all parts of an answer have.
type part struct {
	Status condition `json:"status"`
	Age    *int64    `json:"age_seconds,omitempty"`
}

type (
	keysHealth struct {
		part
		Signs     string `json:"signs"` // access_token or id_token
		Algorithm string `json:"alg,omitempty"`
		NextAge   *int64 `json:"next_age_seconds,omitempty"`
	}
	revocationsHealth struct {
		part
		MaxAge int64 `json:"max_age_seconds,omitempty"`
	}
	keySetHealth struct {
		part
		Issuer string             `json:"issuer"`
		State  verify.KeySetState `json:"state"`
	}
	health struct {
		Status      condition         `json:"status"`
		Keys        []keysHealth      `json:"keys"`
		Store       part              `json:"store"`
		Revocations revocationsHealth `json:"revocations"`
		KeySets     []keySetHealth    `json:"key_sets,omitempty"`
		Users       *part             `json:"users,omitempty"`
	}
)

// Endpoint returns the row of the table.
func (e *Health) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: healthName, Path: "/oauth/health", Methods: []string{http.MethodGet, http.MethodHead},
		Origins: tokenep.CORS{}, BeforeStart: true, Handler: e,
	}
}

// ServeHTTP answers one request.
func (e *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, status := e.check(r.Context()), http.StatusOK
	if answer.Status == failing {
		status = http.StatusServiceUnavailable
	}
	tokenep.WriteJSON(w, status, answer)
}

func (e *Health) check(ctx context.Context) health {
	now := e.Now()
	all := health{Status: well, Store: part{Status: well}, Revocations: e.revocations(now)}
	for i, ring := range e.Rings {
		k := ringHealth(ring, now)
		if k.Signs = "id_token"; i == 0 {
			k.Signs = "access_token"
		}
		all.Keys, all.Status = append(all.Keys, k), all.Status.or(k.Status)
	}
	if e.askStore(ctx, now) != nil {
		all.Store.Status = degraded
	}
	if e.KeySets != nil {
		for _, set := range e.KeySets() {
			k := set.health()
			all.KeySets, all.Status = append(all.KeySets, k), all.Status.or(k.Status)
		}
	}
	if e.Users != nil {
		u := part{Status: well}
		asked, err := e.Users()
		u.Age = age(now, asked)
		if err != nil {
			u.Status = degraded
		}
		all.Users, all.Status = &u, all.Status.or(u.Status)
	}
	all.Status = all.Status.or(all.Store.Status).or(all.Revocations.Status)
	return all
}

// ringHealth says of a ring that has no active key that nothing can be signed, and that one is
// degraded that could not be rotated when that was due.
func ringHealth(ring *keys.Ring, now time.Time) keysHealth {
	h := keysHealth{part: part{Status: failing}}
	for _, k := range ring.Current().List() {
		switch k.State {
		case keys.Active:
			h.Status, h.Algorithm, h.Age = well, k.Algorithm, age(now, k.Activated)
		case keys.Next:
			h.NextAge = age(now, k.Created)
		}
	}
	if h.Status == well && ring.Overdue() {
		h.Status = degraded
	}
	return h
}

func (e *Health) revocations(now time.Time) revocationsHealth {
	h := revocationsHealth{part: part{Status: well}, MaxAge: int64(e.RevocationMaxAge / time.Second)}
	followed := e.Revocations.LastFollowed()
	h.Age = age(now, followed)
	switch since := now.Sub(followed); {
	case e.RevocationMaxAge > 0 && (followed.IsZero() || since > e.RevocationMaxAge):
		h.Status = failing
	case followed.IsZero() || since > revocationsGood:
		h.Status = degraded
	}
	return h
}

// askStore returns why the store does not answer. However many requests there are, it is asked once
// a second, and they wait for one answer.
func (e *Health) askStore(ctx context.Context, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if since := now.Sub(e.asked); !e.asked.IsZero() && since >= 0 && since < storeAskedEvery {
		return e.answer
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeAskedFor) // for others, too
	defer cancel()
	_, err := e.Store.Load(ctx, healthRecordKind, "probe")
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	e.asked, e.answer = now, err
	return err
}

func (k ForeignKeys) health() keySetHealth {
	s := k.Keys.Status()
	h := keySetHealth{part: part{Status: well}, Issuer: k.Issuer, State: s.State}
	if s.State == verify.KeySetStale || s.State == verify.KeySetUnavailable {
		h.Status = degraded
	}
	if s.Fetched {
		seconds := int64(s.Age / time.Second)
		h.Age = &seconds
	}
	return h
}

// age returns whole seconds; nil for the zero time.
func age(now, at time.Time) *int64 {
	if at.IsZero() {
		return nil
	}
	seconds := int64(max(0, now.Sub(at)) / time.Second)
	return &seconds
}
