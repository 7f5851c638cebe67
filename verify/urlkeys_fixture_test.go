package verify_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// keyServer is a private TLS server with a key set, and a URLKeys for it.
type keyServer struct {
	*verify.URLKeys
	*httptest.Server
	clock *verifytest.Clock
	log   bytes.Buffer
	roots *x509.CertPool

	answer  atomic.Pointer[http.HandlerFunc]
	fetches atomic.Int64 // all requests
	same    atomic.Int64 // those that were answered with 304
}

// newKeyServer serves text, with an ETag if it is not empty.
func newKeyServer(t *testing.T, text string) *keyServer {
	t.Helper()
	s := &keyServer{clock: newClock(), roots: x509.NewCertPool()}
	s.serve(text, "")
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		(*s.answer.Load())(w, r)
	}))
	s.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // clients that hang up
	s.StartTLS()
	t.Cleanup(s.Close)
	s.roots.AddCert(s.Certificate())
	s.URLKeys = s.at(t, s.URL+"/jwks")
	return s
}

// at returns the keys at a URL whose host is certified by the server's certificate.
func (s *keyServer) at(t *testing.T, uri string, addresses ...netip.Prefix) *verify.URLKeys {
	t.Helper()
	keys, err := verify.NewURLKeys(uri, verify.URLKeysOptions{
		Addresses: addresses, RootCAs: s.roots, Now: s.clock.Now, Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Settle)
	return keys
}

func (s *keyServer) do(answer http.HandlerFunc) { s.answer.Store(&answer) }

func (s *keyServer) serve(text, etag string) {
	s.do(func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
			if r.Header.Get("If-None-Match") == etag {
				s.same.Add(1)
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		_, _ = w.Write([]byte(text))
	})
}

func (s *keyServer) fail(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusBadGateway)
}

// expect asks for a key, and compares the number of fetches with that so far.
func (s *keyServer) expect(t *testing.T, kid string, want error, fetches int64) {
	t.Helper()
	if _, err := s.Key(t.Context(), kid, "ES256"); !errors.Is(err, want) {
		t.Errorf("kid %s: %v, want %v", kid, err, want)
	}
	s.Settle()
	if n := s.fetches.Load(); n != fetches {
		t.Errorf("kid %s: %d fetches, want %d", kid, n, fetches)
	}
}
