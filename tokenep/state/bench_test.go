package state_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// ofThousand measures what a look-up costs among many, and reports it as a multiple of the same
// among a thousand (of-thousand), measured in the same run and in turns, so that both have the same
// machine.
func ofThousand(b *testing.B, many, thousand func(i int)) {
	const turn = 1000
	var spent, reference time.Duration
	n := 0
	for b.Loop() {
		began := time.Now()
		for i := range turn {
			many(n + i)
		}
		middle := time.Now()
		for i := range turn {
			thousand(n + i)
		}
		spent += middle.Sub(began)
		reference += time.Since(middle)
		n += turn
	}
	b.ReportMetric(float64(spent)/float64(reference), "of-thousand")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "ns/look-up")
	b.ReportMetric(0, "ns/op") // an op is two thousand look-ups: says nothing
}

// BenchmarkRedeem redeems API tokens among 1,000,000, and among 1,000.
func BenchmarkRedeem(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		c := newClock()
		ofThousand(b, redeemer(b, newMemory(b, c.Now), c, 1_000_000), redeemer(b, newMemory(b, c.Now), c, 1_000))
	})
	b.Run("bolt", func(b *testing.B) {
		c := newClock()
		ofThousand(b, redeemer(b, newBolt(b, c.Now), c, 1_000_000), redeemer(b, newBolt(b, c.Now), c, 1_000))
	})
}

// redeemer makes API tokens, twenty for each of many owners, and redeems them.
func redeemer(b *testing.B, s store.Store, c *clock, count int) func(i int) {
	tokens, _ := newAPITokens(s, c)
	tokens.MaxPerUser = 20
	sample := make([]string, min(count, 100_000)) // too many for the processor's caches
	each := count / len(sample)
	var owners errgroup.Group
	owners.SetLimit(256)
	for first := 0; first < count; first += 20 {
		owners.Go(func() error {
			for i := first; i < first+20; i++ {
				token, _, err := tokens.Create(b.Context(), ask(fmt.Sprint("user ", first)))
				if err != nil {
					return err
				}
				if i%each == 0 {
					sample[i/each] = token
				}
			}
			return nil
		})
	}
	use := func(i int) error {
		_, err := exchange(b.Context(), tokens, sample[i*7919%len(sample)])
		return err
	}
	if err := owners.Wait(); err != nil {
		b.Fatal(err)
	}
	for i := range sample { // the use of this minute is written down
		owners.Go(func() error { return use(i) })
	}
	if err := owners.Wait(); err != nil {
		b.Fatal(err)
	}
	return func(i int) {
		if err := use(i); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkClientsLoad loads clients among 100,000, and among 1,000.
func BenchmarkClientsLoad(b *testing.B) {
	load := func(count int) func(int) {
		c := newClock()
		clients := registry.Registry{Store: newMemory(b, c.Now), Now: c.Now}
		for i := range count {
			one := billing()
			one.ID = fmt.Sprint("client ", i)
			if _, err := clients.Add(b.Context(), one); err != nil {
				b.Fatal(err)
			}
		}
		return func(i int) {
			if _, err := clients.Load(b.Context(), fmt.Sprint("client ", i*7919%count)); err != nil {
				b.Fatal(err)
			}
		}
	}
	ofThousand(b, load(100_000), load(1_000))
}

// BenchmarkFollow is what each node does four times a second when nothing is revoked.
func BenchmarkFollow(b *testing.B) {
	c := newClock()
	n := newNode(newMemory(b, c.Now), c)
	for b.Loop() {
		if err := n.Follow(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
