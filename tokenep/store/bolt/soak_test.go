package bolt

import (
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

func TestSoak(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, file(t), Options{Now: func() time.Time { return now }, SweepInterval: -1})
	s.db.NoSync = true // fsync does not affect how the file grows
	storetest.RunSoak(t, storetest.Soak{
		Store: s, Now: s.now, Sweep: s.Sweep,
		Pass: func(d time.Duration) {
			now = now.Add(d)
			_, err := s.Sweep(t.Context())
			must(t, err)
		},
		Held: func(t *testing.T) storetest.Held {
			records, index := 0, 0
			must(t, s.db.View(func(tx *bbolt.Tx) error {
				return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
					switch {
					case string(name) == string(expiryBucket):
						index += bucket.Stats().KeyN
					case name[0] != '#':
						records += bucket.Stats().KeyN
					}
					return nil
				})
			}))
			return storetest.Held{All: map[string]int{"records": records}, Expiring: map[string]int{"index": index}}
		},
		// Up to the last page in use, because the file itself grows by doubling.
		Size: func(t *testing.T) (n int64) {
			must(t, s.db.View(func(tx *bbolt.Tx) error {
				n = tx.Size()
				return nil
			}))
			return n
		},
	})
}
