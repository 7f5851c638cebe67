package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TLS has the paths of a certificate for 127.0.0.1, its key, and the private authority that has
// signed it.
type TLS struct{ CA, Cert, Key string }

// NewTLS makes an authority and a certificate. A Process that runs as another user can read the
// files, which are removed with the test.
func NewTLS(tb testing.TB) TLS {
	tb.Helper()
	dir, err := os.MkdirTemp("", "tls")
	check(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(tb, os.Chmod(dir, 0o755)) //nolint:gosec // another user must reach the files
	files := TLS{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}

	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server of a test"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signer, key := newKey(tb), newKey(tb)
	writePEM(tb, files.CA, "CERTIFICATE", certificate(tb, authority, authority, signer, signer))
	writePEM(tb, files.Cert, "CERTIFICATE", certificate(tb, leaf, authority, key, signer))
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(tb, err)
	writePEM(tb, files.Key, "PRIVATE KEY", private)
	check(tb, os.Chmod(files.Key, 0o600))
	check(tb, unprivileged().own(files.Key))
	return files
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(tb, err)
	return key
}

func certificate(tb testing.TB, c, issuer *x509.Certificate, key, signer *ecdsa.PrivateKey) []byte {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), signer)
	check(tb, err)
	return der
}

func writePEM(tb testing.TB, path, kind string, der []byte) {
	tb.Helper()
	check(tb, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)) //nolint:gosec // see NewTLS
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
