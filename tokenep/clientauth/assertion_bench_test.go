package clientauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// BenchmarkPrivateKeyJWT compares a token request by private_key_jwt with the same request by
// client_secret_basic and one bare verification of an ES256 signature, which is the least that the
// method can cost. The ratio of the medians is "of-basic-and-signature", and should be 0.85 at
// least: all three are taken turn by turn, so that a busy machine slows all of them.
func BenchmarkPrivateKeyJWT(b *testing.B) {
	robot := newAsserter("robot")
	f := newAssertions(b, robot)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 300) // about as long as an assertion
	digest := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	send := func(r request) time.Duration {
		req := httptest.NewRequest(r.Method, tokeneptest.TokenPath, strings.NewReader(r.Body))
		req.Header = r.Header
		w := httptest.NewRecorder()
		begin := time.Now()
		f.Handler.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
		return time.Since(begin)
	}
	var basic, assertion, bare []time.Duration
	for b.Loop() {
		r := by(robot.assertion(nil))
		basic = append(basic, send(plain.By("reports")))
		assertion = append(assertion, send(r))
		begin := time.Now()
		digest := sha256.Sum256(message)
		if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
			b.Fatal("the signature is not good")
		}
		bare = append(bare, time.Since(begin))
	}
	median := func(d []time.Duration) float64 { slices.Sort(d); return float64(d[len(d)/2]) }
	b.ReportMetric((median(basic)+median(bare))/median(assertion), "of-basic-and-signature")
	b.ReportMetric(median(assertion)/1e3, "µs/assertion")
	b.ReportMetric(median(basic)/1e3, "µs/basic")
	b.ReportMetric(median(bare)/1e3, "µs/signature")
}
