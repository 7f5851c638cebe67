package oauthverify

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/verify"
)

// DPoP are the rules for access tokens that are bound to a key of the client (RFC 9449). Where a
// server of this process is trusted, they need no option, and a proof is good once on all nodes of
// that server. Otherwise the option dpop is needed, and a proof is good once in this process.
type DPoP struct {
	// Refuse tokens that are not bound to a key. Default: false.
	Required bool `json:"required,omitempty"`

	// Scheme, host and port of the URLs that clients call, such as https://api.example.com: a proof
	// is for one URL, and Host can be anything. Default: those of resource and of the audiences
	// that are URLs, and that of the issuer of this process.
	Origins []string `json:"origins,omitempty"`

	// What a proxy in front of this one takes off the paths that clients call, such as /v1. What
	// this Caddy takes off itself, by handle_path or uri, need not be named. Default: nothing.
	Prefix string `json:"prefix,omitempty"`

	// How far the time in a proof may be from now: 1s to 5m. Default: that of the server of this
	// process, or 1m.
	Window caddy.Duration `json:"window,omitempty"`

	// Whether a proof needs a nonce (RFC 9449 §9): required or off. It is for routes that trust a
	// server of this process, whose nodes share the nonces. Default: that of the server.
	Nonce string `json:"nonce,omitempty"`
}

// ClientCertificates are the rules for access tokens that are bound to a TLS certificate of the
// client (RFC 8705). The certificate is that of the TLS connection, which needs client_auth in its
// TLS connection policy (mode request is enough), or that of client_certificates of the server of
// this process.
type ClientCertificates struct {
	// Refuse tokens that are not bound to a certificate. Default: false.
	Required bool `json:"required,omitempty"`

	// The header in which a proxy of trusted_proxies passes on the certificate of its client: see
	// client_certificates of oauth_server. Default: that of the server of this process.
	Header string `json:"header,omitempty"`
}

// origins returns the origins of the URLs that clients call.
func (h *Handler) origins() ([]string, error) {
	if h.DPoP != nil && len(h.DPoP.Origins) > 0 {
		return adapt.ResolveAll("dpop: origin", h.DPoP.Origins)
	}
	audience, err := adapt.ResolveAudience(h.Audience)
	if err != nil {
		return nil, err
	}
	audience = append([]string{h.Resource}, audience...)
	if h.server != nil {
		audience = append(audience, h.server.Server().Config.Issuer)
	}
	var origins []string
	for _, name := range audience {
		if u, err := url.Parse(name); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
			origins = append(origins, u.Scheme+"://"+u.Host)
		}
	}
	return origins, nil
}

// proofs returns what takes proofs; nil: none are taken.
func (h *Handler) proofs() (*verify.DPoP, error) {
	if h.server == nil && h.DPoP == nil {
		return nil, nil
	}
	rules := h.DPoP
	if rules == nil {
		rules = new(DPoP)
	}
	origins, err := h.origins()
	if err != nil {
		return nil, err
	}
	if len(origins) == 0 {
		return nil, errors.New("dpop: write the origin that clients call, such as origin https://api.example.com, since no audience is a URL")
	}
	options := verify.DPoPOptions{Origins: origins, Prefix: rules.Prefix, Window: time.Duration(rules.Window), Required: rules.Required}
	if h.server == nil {
		if rules.Nonce == oauthserver.NonceRequired {
			return nil, errors.New("dpop: nonce required is for routes that trust an oauth_server of this process, whose nodes share the nonces")
		}
		options.Remember = h.replays().Remember
		return verify.NewDPoP(options)
	}
	own := h.server.Server()
	options.Window = cmp.Or(options.Window, own.Config.DPoP.Window)
	if h.requiresNonce() {
		options.Nonces = own.Nonces()
	}
	return own.DPoP(options)
}

// requiresNonce reports whether proofs need a nonce, which answers then have.
func (h *Handler) requiresNonce() bool {
	if h.DPoP != nil && h.DPoP.Nonce != "" {
		return h.DPoP.Nonce == oauthserver.NonceRequired
	}
	return h.server != nil && h.server.Server().Config.DPoP.RequireNonce
}

// certificate returns what finds the certificate of a client; nil: it is that of the connection.
func (h *Handler) certificate() func(*http.Request) (*x509.Certificate, error) {
	switch {
	case h.ownCertificateHeader() != "":
		c := &oauthserver.ClientCertificates{Header: h.ownCertificateHeader()}
		return c.Presented
	case h.server != nil && h.server.Server().Config.ClientCertificates != nil:
		return h.server.Server().ClientCertificate
	}
	return nil
}

// certificateHeader returns the header in which trusted proxies pass on the certificates of their
// clients; "": they don't.
func (h *Handler) certificateHeader() string {
	if header := h.ownCertificateHeader(); header != "" || h.server == nil || h.server.ClientCertificates == nil {
		return header
	}
	return h.server.ClientCertificates.Header
}

// ownCertificateHeader is that of the options, if there is one.
func (o *Options) ownCertificateHeader() string {
	if o.ClientCertificates == nil {
		return ""
	}
	return o.ClientCertificates.Header
}

// checkPossession returns what is wrong with the options, as far as they are known.
func (o *Options) checkPossession() error {
	if c := o.ClientCertificates; c != nil {
		if err := (&oauthserver.ClientCertificates{Header: c.Header}).Check(); err != nil {
			return err
		}
	}
	if o.DPoP == nil {
		return nil
	}
	if err := oauthserver.CheckNonce(o.DPoP.Nonce); err != nil {
		return err
	}
	if o.DPoP.Window != 0 {
		if err := oauthserver.CheckWindow(time.Duration(o.DPoP.Window)); err != nil {
			return err
		}
	}
	if err := verify.CheckPrefix(o.DPoP.Prefix); err != nil {
		return fmt.Errorf("dpop: %w", err)
	}
	for _, origin := range adapt.Literals(o.DPoP.Origins) {
		if err := verify.CheckOrigin(origin); err != nil {
			return fmt.Errorf("dpop: %w", err)
		}
	}
	return nil
}
