package state_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
)

const (
	soakStep = 10 * time.Minute
	soakIdle = 2 * time.Hour // of families
	soakEnds = 6 * time.Hour

	// soakLag is how much later than it expires a record is gone, at most: bolt is swept once in a
	// step, and memory drops two records with each that comes.
	soakLag = soakStep
)

// What never expires: how often it is there when all else has gone.
var eternal = map[string]int{"signing_keys": 1, "revocation_head": 1, "secret": 1, "client": 1}

// A day of traffic leaves behind what lives, and no more: not less, each hour, than what is good
// still, and not more than that was a step of the clock ago. When all of it has expired, what never
// expires is left.
func TestDayOfTrafficLeavesWhatLives(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		c := newClock()
		s := newMemory(t, c.Now)
		soak(t, s, c, func() {}, func() int64 { return 0 })
	})
	t.Run("bolt", func(t *testing.T) {
		c := newClock()
		path := filepath.Join(t.TempDir(), "state.db")
		s := enginetest.OpenBolt(t, path, c.Now)
		soak(t, s, c, func() { sweep(t, s) }, func() int64 {
			info, err := os.Stat(path)
			must(t, err)
			return info.Size()
		})
	})
}

func sweep(t *testing.T, s *bolt.Store) {
	t.Helper()
	_, err := s.Sweep(t.Context())
	must(t, err)
}

func soak(t *testing.T, s store.Store, c *clock, sweep func(), size func() int64) {
	t.Helper()
	d := newDay(t, s, c)
	var most int
	var young int64 // bytes, when every kind has begun to expire
	for step := 1; step <= int(day(1)/soakStep); step++ {
		d.traffic(step)
		c.Advance(soakStep)
		sweep()
		must(t, d.log.Follow(t.Context()))
		if c.Now().Sub(d.began)%time.Hour == 0 {
			most = max(most, d.check())
		}
		if t.Failed() {
			t.FailNow()
		}
		if c.Now().Sub(d.began) == 8*time.Hour {
			young = size()
		}
	}
	t.Logf("%d writes made %d records; at most %d were there; after the day %v, and %d revocations in memory",
		d.writes.n.Load(), d.made(), most, d.counts(), d.set.Len())
	if old := size(); old > 2*young {
		t.Errorf("the file has %d bytes after 8 hours, and %d after 24", young, old)
	} else if old > 0 {
		t.Logf("the file has %d bytes after 8 hours, and %d after 24", young, old)
	}

	c.Advance(100 * day(1))
	for range d.made() { // memory drops something with each record that comes
		must(t, s.Insert(t.Context(), store.Record{Kind: "none", ID: "none"}))
		must(t, s.Delete(t.Context(), "none", "none"))
	}
	sweep()
	must(t, d.log.Follow(t.Context()))
	if got := d.counts(); !maps.Equal(got, eternal) {
		t.Errorf("when all has expired %v is left, want %v", got, eternal)
	}
	if n := d.set.Len(); n != 0 {
		t.Errorf("%d revocations are in memory when all have expired", n)
	}
}

// check holds what there is of each kind against the model, and returns how many records there are.
func (d *soakedDay) check() (total int) {
	d.t.Helper()
	now := d.clock.Now()
	got := d.counts()
	for kind, until := range d.live {
		least, most := eternal[kind], eternal[kind]
		for _, deadline := range until {
			if deadline.After(now) {
				least++
			}
			if deadline.After(now.Add(-soakLag)) {
				most++
			}
		}
		if n := got[kind]; n < least || n > most {
			d.t.Errorf("after %v: %d records of kind %s, want %d that live, and %d at most", now.Sub(d.began), n, kind, least, most)
		}
		total += got[kind]
	}
	revoked := 0
	for _, deadline := range d.live["revocation"] {
		if deadline.After(now.Add(-soakLag)) {
			revoked++
		}
	}
	if n := d.set.Len(); n > revoked {
		d.t.Errorf("after %v: %d revocations in memory, want %d at most", now.Sub(d.began), n, revoked)
	}
	return total
}

// counts is how many records there are of each kind that has any.
func (d *soakedDay) counts() map[string]int {
	d.t.Helper()
	counts := make(map[string]int)
	for kind := range d.live {
		for after := ""; ; {
			page, err := d.writes.Store.List(d.t.Context(), kind, "", after, store.MaxPage)
			must(d.t, err)
			if len(page) == 0 {
				break
			}
			counts[kind] += len(page)
			after = page[len(page)-1].ID
		}
	}
	return counts
}

// made is how many records there ever were.
func (d *soakedDay) made() (n int) {
	for _, until := range d.live {
		n += len(until)
	}
	return n
}
