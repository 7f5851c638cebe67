package oauthserver

import (
	"context"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// instant is a store that takes no time.
type instant struct{ store.Store }

func (instant) Load(context.Context, string, string) (store.Record, error) {
	return store.Record{}, nil
}

// What measuring a verb costs is the difference: two looks at the clock, and two additions.
func BenchmarkStoreMeasured(b *testing.B) {
	s, err := acquireShared("bench", "bench", func() (store.Store, error) { return instant{}, nil })
	if err != nil {
		b.Fatal(err)
	}
	if err := s.open(); err != nil {
		b.Fatal(err)
	}
	for name, loaded := range map[string]store.Store{"alone": s.engine.Load().Store, "measured": s} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := loaded.Load(b.Context(), "code", "x"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
