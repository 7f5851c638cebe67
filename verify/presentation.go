package verify

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
)

// Presentation is an access token as a client presented it: the token, and what the request shows
// of the client's right to use it. Where there is a token and no request, as in token exchange (RFC
// 8693 §2.1), Token alone is set.
//
// The members after Scheme are what proof of possession is checked against.
//
// It is passed by value, so that it stays on the stack also in a call through a TokenVerifier.
type Presentation struct {
	// Token is the token, byte for byte.
	Token string

	// Scheme is the authentication scheme, spelled as the client spelled it: "Bearer" (RFC 6750
	// §2.1). Schemes are compared without case (RFC 9110 §11.1). Empty for a token that came
	// without one: in a form or a query (RFC 6750 §2.2, §2.3), or without a request.
	Scheme string

	// Method is the method of the request, which htm of a DPoP proof must match (RFC 9449 §4.3).
	Method string

	// URL is the target of the request as [http.Request] has it: in a server, path and query
	// without scheme and host. The origin in htu of a DPoP proof is compared with configuration,
	// since the client chooses Host. It must not be changed.
	URL *url.URL

	// Proof has the values of the header DPoP, of which a request may have one (RFC 9449 §4.3).
	Proof []string

	// Certificate is the client's certificate on the TLS connection, or on that to a trusted proxy,
	// nil if there is none. Its thumbprint is what x5t#S256 of a bound token must equal (RFC 8705
	// §3.1); that any authority has signed it is not implied.
	Certificate *x509.Certificate
}

// TokenVerifier decides whether a token is good. A [Verifier] is one, for JWT access tokens.
type TokenVerifier interface {
	// Verify returns the token that p presents if it is to be honoured now. Otherwise the error is
	// an *[Error]; any other error is answered with 500. It is called on every request with a
	// token, and must be safe for concurrent use.
	Verify(ctx context.Context, p Presentation) (*Token, error)
}

// present returns what r shows beside a token.
func (g *Guard) present(r *http.Request) (p Presentation, err error) {
	p = Presentation{Method: r.Method, URL: r.URL, Proof: r.Header[proofHeader]}
	if g.Received != nil && len(p.Proof) > 0 {
		p.Method, p.URL = g.Received(r)
	}
	switch {
	case g.Certificate != nil:
		if p.Certificate, err = g.Certificate(r); err != nil {
			return p, errCertificate.because(err)
		}
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		p.Certificate = r.TLS.PeerCertificates[0] // the first is the client's own (RFC 8446 §4.4.2)
	}
	return p, nil
}
