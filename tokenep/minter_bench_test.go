package tokenep_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
)

// BenchmarkMint measures a token against the one ECDSA signature in it. Both are made in turn in
// the same run; of-signature is how many times as long the token takes, by the medians, so that a
// turn in which the machine did something else does not count.
func BenchmarkMint(b *testing.B) {
	ring, err := keys.New(keys.Options{Store: memory.New(memory.Options{}), Retain: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	if err := ring.Start(ctx); err != nil {
		b.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	claims := &tokenep.Claims{
		Subject: "client:billing", ClientID: "billing", Audience: []string{"https://api.example/orders"},
		Scope: verify.Scope{"orders:read", "orders:write"}, IssuedAt: now, Expires: now.Add(time.Hour),
	}
	message := make([]byte, 400) // about as long as the signing input of such a token
	for name, cache := range map[string]*verify.Cache{"uncached": nil, "cached": verify.NewCache(100_000, time.Now)} {
		b.Run(name, func(b *testing.B) {
			minter := &tokenep.Minter{Issuer: "https://as.example", Keys: ring, Cache: cache, Now: time.Now}
			b.ReportAllocs()
			var minting, signing []time.Duration
			for b.Loop() {
				begin := time.Now()
				token, err := minter.Mint(claims)
				if err != nil {
					b.Fatal(err)
				}
				minter.Remember(token)
				minted := time.Now()
				digest := sha256.Sum256(message)
				if _, err := ecdsa.SignASN1(rand.Reader, private, digest[:]); err != nil {
					b.Fatal(err)
				}
				minting = append(minting, minted.Sub(begin))
				signing = append(signing, time.Since(minted))
			}
			slices.Sort(minting)
			slices.Sort(signing)
			b.ReportMetric(float64(minting[len(minting)/2])/float64(signing[len(signing)/2]), "of-signature")
		})
	}
}
