package memory

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// Each Insert drops up to two expired records, of any kind.
func TestSoak(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := New(Options{Now: func() time.Time { return now }})
	defer s.Close()
	storetest.RunSoak(t, storetest.Soak{
		Store: s, Now: s.now,
		Pass: func(d time.Duration) { now = now.Add(d) },
		Held: func(*testing.T) storetest.Held {
			items, ids := 0, 0
			for _, kind := range s.kinds {
				items += kind.items.ItemCount()
				for _, block := range kind.ids {
					ids += len(block)
				}
			}
			return storetest.Held{
				All:      map[string]int{"items": items, "ids": ids, "count": s.count},
				Expiring: map[string]int{"garbage": len(s.garbage)},
			}
		},
		Lag: 16, // as many as expire within a step of the test
	})
}
