package verify_test

import (
	"context"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// BenchmarkDPoP compares a request with a cached token that is bound to a key, and its proof, with
// what is unavoidable: one ECDSA verification, and one insert of an id. inserts/op counts the
// latter.
func BenchmarkDPoP(b *testing.B) {
	now := time.Now()
	clock := func() time.Time { return now }
	ours, bare := verify.NewReplays(1<<22, clock), verify.NewReplays(1<<22, clock)
	inserts := 0
	proofs, err := verify.NewDPoP(verify.DPoPOptions{Origins: []string{testAPI}, Now: clock,
		Remember: func(ctx context.Context, thumbprint, id string, until time.Time) error {
			inserts++ // so that a proof can be sent again
			return ours.Remember(ctx, thumbprint, id+strconv.Itoa(inserts), until)
		}})
	if err != nil {
		b.Fatal(err)
	}
	issuer, prover := verifytest.New(testIssuer, testAPI), verifytest.NewProver("ES256")
	issuer.Now, prover.Now = clock, clock
	verifier := newVerifier(b, issuer, func(c *verify.Config) { c.DPoP, c.Cache = proofs, verify.NewCache(100, clock) })
	guard := &verify.Guard{Verifier: verifier}
	token := issuer.Sign(verifytest.Claims{"cnf": map[string]any{"jkt": prover.Thumbprint()}})
	r := httptest.NewRequest("GET", "/orders", nil)
	authorization, proof := []string{"DPoP " + token}, []string{prover.Proof("GET", testAPI+"/orders", token, nil)}
	admit := func() {
		r.Header["Authorization"], r.Header["Dpop"] = authorization, proof
		if _, err := guard.Admit(r); err != nil {
			b.Fatal(err)
		}
	}
	verification := bareECDSA(b)
	floors := 0
	floor := func() {
		verification()
		floors++
		if err := bare.Remember(b.Context(), "thumbprint", strconv.Itoa(floors), now.Add(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	timed := func(f func()) time.Duration {
		start := time.Now()
		for range 20 {
			f()
		}
		return time.Since(start)
	}
	admit()
	before := inserts
	var guarded, floored []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		guarded, floored = append(guarded, timed(admit)), append(floored, timed(floor))
	}
	b.ReportMetric(float64(inserts-before)/float64(20*len(guarded)), "inserts/op")
	b.ReportMetric(median(guarded)/20, "ns/request")
	b.ReportMetric(median(guarded)/median(floored), "of-verification-and-insert")
}
