package verify_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// The examples of RFC 9449: the proofs of §4.1 and §7.1, and the thumbprint of §6.1.
const (
	exampleToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	exampleJKT   = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

	exampleHeader = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpD" +
		"a0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
	exampleTokenProof = exampleHeader + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1w" +
		"bGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	exampleResourceProof = exampleHeader + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFt" +
		"cGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9." +
		"2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)

// exampleProofs takes proofs at the time of the examples.
func exampleProofs(t testing.TB) *verify.DPoP {
	t.Helper()
	d, err := verify.NewDPoP(verify.DPoPOptions{
		Origins:  []string{"https://server.example.com", "https://resource.example.org"},
		Remember: func(context.Context, string, string, time.Time) error { return nil },
		Now:      func() time.Time { return time.Unix(1562262617, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDPoPExamples(t *testing.T) {
	d := exampleProofs(t)
	for _, row := range []struct {
		name, method, path, token, proof string
		code                             string
	}{
		{"5: token request", "POST", "/token", "", exampleTokenProof, "ok"},
		{"7.1: resource request", "GET", "/protectedresource", exampleToken, exampleResourceProof, "ok"},
		{"7.1: another token", "GET", "/protectedresource", exampleToken + "x", exampleResourceProof, verify.InvalidDPoPProof},
		{"5: at the resource", "GET", "/protectedresource", exampleToken, exampleTokenProof, verify.InvalidDPoPProof},
		{"7.1: another byte of the signature", "GET", "/protectedresource", exampleToken, exampleResourceProof[:len(exampleResourceProof)-10] + "A" + exampleResourceProof[len(exampleResourceProof)-9:], verify.InvalidDPoPProof},
	} {
		t.Run(row.name, func(t *testing.T) {
			proof, err := d.Check(verify.Presentation{Token: row.token, Method: row.method, URL: &url.URL{Path: row.path}, Proof: []string{row.proof}})
			if got := refusal(err); got != row.code || got == "ok" && proof.Thumbprint != exampleJKT {
				t.Errorf("%v, %+v; want %s", err, proof, row.code)
			}
		})
	}
}

// RFC 8705 appendix A: a certificate, and its thumbprint in cnf.
const (
	exampleCertificate = `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----`
	exampleX5T = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

// parseExample returns the certificate.
func parseExample(t testing.TB) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(exampleCertificate))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestCertificateThumbprint(t *testing.T) {
	if got := verify.CertificateThumbprint(parseExample(t)); got != exampleX5T {
		t.Errorf("%s, want %s", got, exampleX5T)
	}
	if got := verify.CertificateThumbprint(nil); got != "" {
		t.Errorf("of nothing: %s", got)
	}
}
