package verify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func benchVerifier(b *testing.B, issuer *verifytest.Issuer) *verify.Verifier {
	b.Helper()
	v, err := verify.New(verify.Config{
		Issuers: []verify.TrustedIssuer{issuer.Trust()},
		Cache:   verify.NewCache(10_000, nil),
		Leeway:  30 * time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// bareECDSA returns a function that verifies one signature on P-256, and does nothing else.
func bareECDSA(b *testing.B) func() {
	b.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("input"))
	signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
			b.Fatal("signature refused")
		}
	}
}

func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds())
}

// BenchmarkHit verifies a cached token: it runs every check but those of the bytes alone.
func BenchmarkHit(b *testing.B) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := benchVerifier(b, issuer)
	raw := issuer.Sign(verifytest.Claims{"scope": "orders:read orders:write"})
	if _, err := v.Verify(context.Background(), verify.Presentation{Token: raw}); err != nil {
		b.Fatal(err)
	}
	benchmarkTurns(b, func() {
		if _, err := v.Verify(context.Background(), verify.Presentation{Token: raw}); err != nil {
			b.Fatal(err)
		}
	})
}

// benchmarkTurns reports the time of f as the median of turns of a hundred, since other work on the
// machine would change a mean.
func benchmarkTurns(b *testing.B, f func()) {
	const turn = 100
	var turns []time.Duration
	start := time.Now()
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		f()
		if i%turn == 0 {
			now := time.Now()
			turns = append(turns, now.Sub(start))
			start = now
		}
	}
	if len(turns) > 0 {
		b.ReportMetric(median(turns)/turn, "ns/op")
	}
}

// BenchmarkMiss verifies uncached tokens, and reports the cost of one in bare ECDSA verifications.
// The two take turns and their medians are compared, so that other load on the machine affects both
// alike.
func BenchmarkMiss(b *testing.B) {
	const turn = 512
	issuer := verifytest.New(testIssuer, testAPI)
	tokens := make([]string, turn)
	for i := range tokens {
		tokens[i] = issuer.Sign(verifytest.Claims{"scope": "orders:read orders:write"})
	}
	bare := bareECDSA(b)
	var v *verify.Verifier
	var misses, bares []time.Duration
	for i := 0; b.Loop(); i++ {
		if i%turn == 0 {
			v = benchVerifier(b, issuer) // with an empty cache
		}
		start := time.Now()
		if _, err := v.Verify(context.Background(), verify.Presentation{Token: tokens[i%turn]}); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		bare()
		misses = append(misses, between.Sub(start))
		bares = append(bares, time.Since(between))
	}
	b.ReportMetric(median(misses), "ns/op")
	b.ReportMetric(median(misses)/median(bares), "of-ecdsa")
}

// BenchmarkHitParallel verifies 64 cached tokens in 64 goroutines, on one processor and on all, in
// turns. The metric is how many times as much all of them do, by processor: 1 where they do not
// wait for each other.
func BenchmarkHitParallel(b *testing.B) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := benchVerifier(b, issuer)
	const callers, turn = 64, 200
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i] = issuer.Sign(verifytest.Claims{"scope": "orders:read", "jti": strconv.Itoa(i)})
	}
	run := func(processors int) time.Duration {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		var all sync.WaitGroup
		start := time.Now()
		for _, token := range tokens {
			all.Go(func() {
				for range turn {
					if _, err := v.Verify(context.Background(), verify.Presentation{Token: token}); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
		return time.Since(start)
	}
	processors := runtime.GOMAXPROCS(0)
	var one, more []time.Duration
	for b.Loop() {
		one, more = append(one, run(1)), append(more, run(processors))
	}
	b.ReportMetric(median(one)/median(more)/float64(processors), "of-linear")
}
