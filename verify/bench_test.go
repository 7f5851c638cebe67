package verify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func benchVerifier(b *testing.B, issuer *verifytest.Issuer) *verify.Verifier {
	b.Helper()
	v, err := verify.New(verify.Config{
		Issuers: []verify.Issuer{issuer.Trust()},
		Cache:   verify.NewCache(10_000, nil),
		Leeway:  30 * time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// rawECDSA gives a function that makes n bare verifications on P-256 and says
// how long they took.
func rawECDSA(b *testing.B) func(n int) time.Duration {
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
	return func(n int) time.Duration {
		start := time.Now()
		for range n {
			if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
				b.Fatal("signature refused")
			}
		}
		return time.Since(start)
	}
}

func BenchmarkHit(b *testing.B) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := benchVerifier(b, issuer)
	raw := issuer.Sign(verifytest.Claims{"scope": "orders:read orders:write"})
	if _, err := v.Verify(context.Background(), raw); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMiss verifies tokens that it has not seen, and reports how many bare
// ECDSA verifications one of them costs. The two are timed in turns, so that
// whatever else the machine does falls on both.
func BenchmarkMiss(b *testing.B) {
	const turn = 512
	issuer := verifytest.New(testIssuer, testAPI)
	tokens := make([]string, turn)
	for i := range tokens {
		tokens[i] = issuer.Sign(verifytest.Claims{"scope": "orders:read orders:write"})
	}
	bare, verifyBare := time.Duration(0), rawECDSA(b)
	var v *verify.Verifier
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%turn == 0 {
			b.StopTimer()
			bare += verifyBare(turn)
			v = benchVerifier(b, issuer) // with an empty cache
			b.StartTimer()
		}
		if _, err := v.Verify(context.Background(), tokens[i%turn]); err != nil {
			b.Fatal(err)
		}
	}
	turns := (b.N + turn - 1) / turn
	each := float64(bare.Nanoseconds()) / float64(turns*turn)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/each, "of-ecdsa")
}
