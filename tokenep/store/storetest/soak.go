package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Soak is a day of traffic on a store, in a shorter time.
type Soak struct {
	Store store.Store

	// Now is the clock that the engine compares expiry with.
	Now func() time.Time

	// Pass advances that clock, if it is the test's. nil means that the clock is a database
	// server's: then the day takes some seconds, and all lives are shorter by the factor Scale.
	Pass func(time.Duration)

	// Sweep deletes expired records, as the engine does each minute. nil means that Insert does so.
	Sweep func(ctx context.Context) (int, error)

	// Held counts what the engine itself has, in each of its places.
	Held func(t *testing.T) Held

	// Lag is how many expired records may still be there, and Slack how long the engine keeps each
	// of them.
	Lag   int
	Slack time.Duration

	// Size returns the size of a file that never shrinks. It must level off. nil means that there
	// is no such file.
	Size func(t *testing.T) int64
}

// Scale returns by which factor a day, and so a minute of slack, is shorter than in life for a
// database server with a clock of its own.
func Scale() int {
	if onCI() {
		return 6000
	}
	return 30_000
}

func onCI() bool { return os.Getenv("CI") == "true" }

// Held is how many entries an engine has in each of its places: in those with one entry for each
// record, and in those with one for each record that expires.
type Held struct{ All, Expiring map[string]int }

// traffic is the records of a kind that are inserted within a minute, and how long they live.
var traffic = []struct {
	kind string
	life time.Duration // 0: for ever
	each int           // one in this many minutes; less than 0: so many each minute
	then func(*soaking, store.Record) error
}{
	{"code", time.Minute, -4, (*soaking).spendHalf},
	{"seen", 5 * time.Minute, -4, nil},
	{"device", 10 * time.Minute, -2, (*soaking).deleteHalf},
	{"family", 2 * time.Hour, -1, (*soaking).rotate},
	{"revocation", time.Hour, -1, nil},
	{"client", 0, 30, (*soaking).deleteHalf},
}

// RunSoak runs a day of traffic, and checks again and again that the store has all live records,
// and besides them only as many as Lag and Slack allow. In the last three hours only one kind is
// inserted: the garbage of the others must disappear all the same.
func RunSoak(t *testing.T, soak Soak) {
	s := &soaking{Soak: soak, t: t, scale: 1, known: map[[2]string]store.Record{}}
	if s.Pass == nil {
		s.scale = Scale()
		s.Pass = func(d time.Duration) { time.Sleep(d / time.Duration(s.scale)) }
	}
	step := 5 * time.Minute // with the traffic of a minute
	if onCI() {
		step = time.Minute
	}
	half := int64(0)
	for at := time.Duration(0); at < 24*time.Hour; at += step {
		s.minute(int(at/step), at >= 21*time.Hour)
		s.Pass(step)
		if at%time.Hour == 0 {
			s.check(at)
		}
		if at == 12*time.Hour && s.Size != nil {
			half = s.Size(t)
		}
		if t.Failed() {
			return
		}
	}
	s.check(24 * time.Hour)
	for _, kind := range []string{"code", "device", "revocation"} {
		page, err := s.Store.List(t.Context(), kind, "", "", 1)
		must(t, err)
		if len(page) > s.Lag {
			t.Errorf("there is still a %s, hours after the last one has expired", kind)
		}
	}
	if s.Size != nil {
		end := s.Size(t)
		t.Logf("%d bytes at the end of the day, %d at noon", end, half)
		if end > half*3/2 {
			t.Errorf("the file has %d bytes at the end of the day, and had %d at noon", end, half)
		}
	}
}

type soaking struct {
	Soak
	t     *testing.T
	scale int
	mu    sync.Mutex
	known map[[2]string]store.Record // by kind and id, as stored last
	used  []store.Record             // families of refresh tokens that are in use
	count int
}

// minute inserts the traffic of a minute, some of it concurrently.
func (s *soaking) minute(number int, quiet bool) {
	var coming sync.WaitGroup
	for _, kind := range traffic {
		n := -kind.each
		if kind.each > 0 && number%kind.each == 0 {
			n = 1
		}
		for range n {
			if quiet && kind.kind != "seen" {
				continue
			}
			s.count++
			r := store.Record{Kind: kind.kind, ID: fmt.Sprintf("%x-%d", rand.Uint32(), s.count), Version: 1, Data: make([]byte, 200)} //nolint:gosec // spread
			if kind.life > 0 {
				r.Expires = s.after(kind.life)
			}
			coming.Go(func() {
				err := s.Store.Insert(s.t.Context(), r)
				s.note(r)
				if err == nil && kind.then != nil {
					err = kind.then(s, r)
				}
				want(s.t, "a verb of a "+r.Kind, err, nil)
			})
		}
	}
	coming.Wait()
}

// after returns the end of a life that begins now.
func (s *soaking) after(life time.Duration) time.Time {
	return s.Now().Add(life / time.Duration(s.scale))
}

func (s *soaking) note(r store.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[[2]string{r.Kind, r.ID}] = r
}

// spendHalf spends every second code; the others are abandoned.
func (s *soaking) spendHalf(r store.Record) error {
	if r.ID[0]%2 == 0 {
		return nil
	}
	return s.swap(r, r.Expires)
}

func (s *soaking) deleteHalf(r store.Record) error {
	if r.ID[0]%2 == 0 {
		return nil
	}
	s.mu.Lock()
	delete(s.known, [2]string{r.Kind, r.ID})
	s.mu.Unlock()
	return s.Store.Delete(s.t.Context(), r.Kind, r.ID)
}

// rotate rotates the new family and some others, which extends their lives. A family that is no
// longer in use expires.
func (s *soaking) rotate(r store.Record) error {
	s.mu.Lock()
	s.used = append(s.used, r)
	if len(s.used) > 60 {
		s.used = s.used[1:]
	}
	var some []store.Record
	for _, i := range rand.Perm(len(s.used))[:min(4, len(s.used))] { //nolint:gosec // any will do
		some = append(some, s.known[[2]string{r.Kind, s.used[i].ID}])
	}
	s.mu.Unlock()
	for _, r := range some {
		if err := s.swap(r, s.after(2*time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// swap accepts that the record is gone if it has expired.
func (s *soaking) swap(r store.Record, expires time.Time) error {
	next := r
	next.Expires = expires
	err := s.Store.Swap(s.t.Context(), r, next)
	if errors.Is(err, store.ErrConflict) && !r.Expires.After(s.Now()) {
		return nil
	}
	next.Version++
	if err == nil {
		s.note(next)
	}
	return err
}

// check sweeps, and compares what the engine has with the live records. It tries for a moment,
// because the clock of a database server runs on meanwhile.
func (s *soaking) check(at time.Duration) {
	s.t.Helper()
	var wrong []string
	for range 100 {
		from := s.Now()
		if s.Sweep != nil {
			_, err := s.Sweep(s.t.Context())
			must(s.t, err)
		}
		held := s.Held(s.t)
		wrong = nil
		for _, place := range []struct {
			counts  map[string]int
			forever bool
		}{{held.All, true}, {held.Expiring, false}} {
			least, most := s.living(s.Now(), place.forever), s.living(from.Add(-s.Slack), place.forever)+s.Lag
			for name, n := range place.counts {
				if n < least || n > most {
					wrong = append(wrong, fmt.Sprintf("%s: %d, want %d to %d", name, n, least, most))
				}
			}
		}
		if len(wrong) == 0 {
			s.t.Logf("after %v: %d inserted, held are %v", at, s.count, held)
			return
		}
		if s.scale == 1 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Errorf("after %v of the day: %q", at, wrong)
}

// living counts the records that have not expired at a time.
func (s *soaking) living(now time.Time, forever bool) (n int) {
	for _, r := range s.known {
		if r.Expires.After(now) || forever && r.Expires.IsZero() {
			n++
		}
	}
	return n
}
