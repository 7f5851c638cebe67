package verify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"slices"
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
