package state_test

import (
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// BenchmarkRotate rotates the refresh tokens of 64 callers at once, each in a family of its own,
// each answer durable. of-one-caller is how many times as many they rotate in a second as one
// alone, measured in the same run and in turns.
func BenchmarkRotate(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchmarkRotate(b, newMemory(b, time.Now)) })
	b.Run("bolt", func(b *testing.B) { benchmarkRotate(b, newBolt(b, time.Now)) })
	b.Run("redis", func(b *testing.B) {
		benchmarkRotate(b, enginetest.Opener(enginetest.Redis).ForTest(b, servertest.For(b, servertest.Redis).URL, ""))
	})
	b.Run("postgres", func(b *testing.B) {
		benchmarkRotate(b, enginetest.Opener(enginetest.Postgres).ForTest(b, servertest.For(b, servertest.Postgres).URL, ""))
	})
}

func benchmarkRotate(b *testing.B, s store.Store) {
	families, _ := newFamilies(s, newClock())
	families.Now = time.Now
	const callers, turn = 64, 50
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i], _ = mustStart(b, families)
	}
	measure := func(callers int) time.Duration {
		began := time.Now()
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for range turn {
					next, _, err := refresh(b.Context(), families, tokens[i], anyone)
					if err != nil {
						b.Error(err)
						return
					}
					tokens[i] = next
				}
			})
		}
		wg.Wait()
		return time.Since(began) / time.Duration(callers*turn)
	}
	var alone, shared time.Duration
	turns := 0
	for b.Loop() {
		shared += measure(callers)
		alone += measure(1)
		turns++
	}
	b.ReportMetric(float64(turns)/shared.Seconds(), "rotations/s")
	b.ReportMetric(float64(shared.Nanoseconds())/float64(turns), "ns/rotation")
	b.ReportMetric(float64(alone)/float64(shared), "of-one-caller")
	b.ReportMetric(0, "ns/op") // an op is a turn of each: says nothing
}
