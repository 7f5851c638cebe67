package verify_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// verifierFunc is a verifier of another kind of token.
type verifierFunc func(verify.Presentation) (*verify.Token, error)

func (f verifierFunc) Verify(_ context.Context, p verify.Presentation) (*verify.Token, error) {
	return f(p)
}

// A verifier gets from the request what RFC 9449 §4.3 and RFC 8705 §3 need.
func TestGuardPresents(t *testing.T) {
	var got verify.Presentation
	guard := &verify.Guard{InsecureQueryToken: true, FormToken: true,
		Verifier: verifierFunc(func(p verify.Presentation) (*verify.Token, error) {
			got = p
			return &verify.Token{}, nil
		})}
	certificate, authority := new(x509.Certificate), new(x509.Certificate)
	for _, c := range []struct {
		name, target, authorization string
		scheme                      string
	}{
		{"header", "/orders?page=2", "bEARER opaque", "bEARER"},
		{"query", "/orders?page=2&access_token=opaque", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("PATCH", "https://x"+c.target, nil)
			r.TLS.PeerCertificates = []*x509.Certificate{certificate, authority}
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			r.Header["Dpop"] = []string{"one", "two"}
			if _, err := guard.Admit(r); err != nil {
				t.Fatal(err)
			}
			if got.Token != "opaque" || got.Scheme != c.scheme || got.Method != "PATCH" ||
				got.URL.Path != "/orders" || len(got.Proof) != 2 || got.Certificate != certificate {
				t.Errorf("the verifier saw %+v", got)
			}
		})
	}
	r := httptest.NewRequest("GET", "http://x/", nil)
	r.Header.Set("Authorization", "Bearer opaque")
	if _, err := guard.Admit(r); err != nil || got.Certificate != nil || got.Proof != nil {
		t.Errorf("%v, without TLS and proof: %+v", err, got)
	}
}

// A verifier that breaks its contract admits nobody.
func TestGuardWithoutVerdict(t *testing.T) {
	for name, verifier := range map[string]verifierFunc{
		"neither":             func(verify.Presentation) (*verify.Token, error) { return nil, nil },
		"not an Error":        func(verify.Presentation) (*verify.Token, error) { return nil, context.Canceled },
		"a token and refused": func(verify.Presentation) (*verify.Token, error) { return &verify.Token{}, context.Canceled },
	} {
		t.Run(name, func(t *testing.T) {
			guard := &verify.Guard{Verifier: verifier, Optional: true}
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			r.Header.Set("Authorization", "Bearer opaque")
			guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				t.Error("the request went on")
			})).ServeHTTP(w, r)
			if w.Code != http.StatusInternalServerError || w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	}
}

// RFC 9449 §7.1: a token sent with another scheme is not a bearer token.
func TestScheme(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(10, nil) })
	token := issuer.Sign(nil)
	for range 2 { // the second time it is cached
		for scheme, want := range map[string]string{
			"": "ok", "Bearer": "ok", "bearer": "ok", "BEARER": "ok",
			"DPoP": verify.InvalidToken, "Bearer ": verify.InvalidToken, "N_A": verify.InvalidToken,
		} {
			_, err := v.Verify(t.Context(), verify.Presentation{Token: token, Scheme: scheme})
			if got := refusal(err); got != want {
				t.Errorf("scheme %q: got %s, want %s", scheme, got, want)
			}
		}
	}
}
