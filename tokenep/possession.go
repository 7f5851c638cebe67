package tokenep

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"net/url"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Possessions finds out which keys the sender of a request has.
type Possessions struct {
	Proofs *verify.DPoP // for the URLs of this server

	// Received returns the method and the target of a request as the client sent it; nil: they are
	// those of the request.
	Received func(*http.Request) (method string, target *url.URL)

	// Certificate returns the certificate of the client, or nil; nil: certificates are not looked
	// at.
	Certificate func(*http.Request) (*x509.Certificate, error)
}

// Possession is the keys that the sender of a request has.
type Possession struct {
	// KeyThumbprint is the jkt of a DPoP proof (RFC 9449 §6.1), and CertificateThumbprint the
	// x5t#S256 of a TLS certificate (RFC 8705 §3.1). Empty: there was none.
	KeyThumbprint, CertificateThumbprint string

	proof       verify.Proof // to be spent; zero: there is none
	certificate error        // why a certificate that was passed on could not be read; or nil
}

// dpopHeader is DPoP, as net/http spells it.
const dpopHeader = "Dpop"

// offering adds the nonce for the next proof to the answers to requests with a proof, where proofs
// need one (RFC 9449 §8.2).
func (p Possessions) offering(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header[dpopHeader]) > 0 {
			p.Proofs.Offer(w.Header())
		}
		next.ServeHTTP(w, r)
	}
}

// Of returns which keys the sender of a request has. A proof that is not good is refused, also
// where none is needed (RFC 9449 §5). It is good for one use: see Spend. A certificate that cannot
// be read is none.
func (p Possessions) Of(r *http.Request) (shown Possession, err error) {
	if proofs := r.Header[dpopHeader]; len(proofs) > 0 {
		presented := verify.Presentation{Method: r.Method, URL: r.URL, Proof: proofs}
		if p.Received != nil {
			presented.Method, presented.URL = p.Received(r)
		}
		if shown.proof, err = p.Proofs.Check(presented); err != nil {
			return shown, refusedProof(err)
		}
		shown.KeyThumbprint = shown.proof.Thumbprint
	}
	if p.Certificate != nil {
		certificate, err := p.Certificate(r)
		shown.CertificateThumbprint, shown.certificate = verify.CertificateThumbprint(certificate), err
	}
	return shown, nil
}

// Spend uses up the proof of a request, if it has one. It comes last: whoever is refused can send
// no proof in vain.
func (p Possessions) Spend(ctx context.Context, shown *Possession) error {
	if shown.proof.Thumbprint == "" {
		return nil
	}
	if err := p.Proofs.Spend(ctx, shown.proof); err != nil {
		return refusedProof(err)
	}
	shown.proof = verify.Proof{}
	return nil
}

// refusedProof is the refusal of a proof (RFC 9449 §5).
func refusedProof(err error) error {
	refused, ok := errors.AsType[*verify.Error](err)
	switch {
	case !ok:
		return err
	case refused.Status == http.StatusServiceUnavailable:
		e := TemporarilyUnavailable.Describe("the DPoP proof cannot be checked at the moment; try again").Because(err)
		e.RetryAfter = refused.RetryAfter
		return e
	}
	return Code(refused.Code).Describe(refused.Description).Because(refused.Cause)
}

// possess finds out which keys the sender has, and holds a client to those that its tokens are
// always bound to.
func (t *TokenEndpoint) possess(r *Request) (err error) {
	if r.Shown, err = t.Possessions.Of(r.Request); err != nil {
		return err
	}
	switch {
	case r.Client == nil:
	case r.Client.DPoPBound && r.Shown.KeyThumbprint == "":
		return InvalidDPoPProof.Describe("the client gets no token without a DPoP proof")
	case r.Client.CertificateBound && r.Shown.CertificateThumbprint == "":
		return InvalidRequest.Describe("the client gets no token without its certificate").Because(r.Shown.certificate)
	}
	return nil
}

// Binds returns what the tokens are bound to that come of a request: the key of its proof, and the
// certificate of a client whose tokens are always bound to it, or that authenticates by it and has
// sent no proof.
func (r *Request) Binds() (c verify.Confirmation) {
	c.KeyThumbprint = r.Shown.KeyThumbprint
	if r.Client == nil {
		return c
	}
	byTLS := r.Client.Authenticates(AuthTLS) || r.Client.Authenticates(AuthSelfSignedTLS)
	if r.Client.CertificateBound || byTLS && c.KeyThumbprint == "" {
		c.CertificateThumbprint = r.Shown.CertificateThumbprint
	}
	return c
}

// bind adds to cnf what the request binds the token to. What the grant says stands.
func (c *Claims) bind(r *Request) error {
	bound := r.Binds()
	for _, member := range []struct{ name, value string }{{"jkt", bound.KeyThumbprint}, {"x5t#S256", bound.CertificateThumbprint}} {
		if member.value == "" {
			continue
		}
		switch present := c.Confirmation[member.name]; present {
		case nil:
			if c.Confirmation = maps.Clone(c.Confirmation); c.Confirmation == nil {
				c.Confirmation = make(map[string]any, 1)
			}
			c.Confirmation[member.name] = member.value
		case member.value:
		default:
			return InvalidRequest.Describe("the grant is for another key than the request has shown")
		}
	}
	return nil
}

// TokenType is the token_type (RFC 6749 §7.1) of a token with these claims: DPoP where it is bound
// to the key of proofs (RFC 9449 §5).
func (c *Claims) TokenType() string {
	if c.Confirmation["jkt"] != nil {
		return "DPoP"
	}
	return "Bearer"
}

// Satisfies returns why the request has not shown what a token is bound to by cnf (RFC 7800 §3.1),
// or nil. The error is for the log.
func (p Possession) Satisfies(cnf any) error {
	c, err := verify.ParseConfirmation(cnf)
	switch {
	case err != nil:
		return err
	case c.KeyThumbprint != "" && c.KeyThumbprint != p.KeyThumbprint:
		return errNotShown
	case c.CertificateThumbprint != "" && c.CertificateThumbprint != p.CertificateThumbprint:
		return errNotShown
	}
	return nil
}

var errNotShown = errors.New("the token is bound to a key (cnf) that the request does not show: neither a DPoP proof of it, nor the client certificate")
