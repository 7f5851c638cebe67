package oauthserver

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

// DPoP are the rules for proofs that clients send to have their access tokens bound to a key (RFC
// 9449). They are accepted from every client, without any option; a client that must send them has
// dpop_bound_access_tokens.
type DPoP struct {
	// How far the time in a proof may be from now: 1s to 5m. Default: 1m.
	Window caddy.Duration `json:"window,omitempty"`

	// Whether a proof needs a nonce of this server (RFC 9449 §8), which it gives in the header
	// DPoP-Nonce: required or off. No proof can be made ahead of time then, and the clock of the
	// client does not matter. Default: off.
	Nonce string `json:"nonce,omitempty"`
}

// The values of DPoP.Nonce.
const (
	NonceRequired = "required"
	NonceOff      = "off"
)

func (c *DPoP) config() server.DPoP {
	if c == nil {
		return server.DPoP{}
	}
	return server.DPoP{Window: time.Duration(c.Window), RequireNonce: c.Nonce == NonceRequired}
}

func (c *DPoP) check() error {
	if c == nil {
		return nil
	}
	if err := CheckNonce(c.Nonce); err != nil {
		return err
	}
	if c.Window == 0 {
		return nil
	}
	return CheckWindow(time.Duration(c.Window))
}

// CheckWindow returns what is wrong with a window of proofs.
func CheckWindow(window time.Duration) error {
	if window < time.Second || window > verify.MaxProofWindow {
		return fmt.Errorf("dpop: a window of %s: it must be between 1s and %s", window, verify.MaxProofWindow)
	}
	return nil
}

// CheckNonce returns what is wrong with a value of the option nonce.
func CheckNonce(nonce string) error {
	if nonce != "" && nonce != NonceRequired && nonce != NonceOff {
		return fmt.Errorf("dpop: nonce %q: it must be %s or %s", nonce, NonceRequired, NonceOff)
	}
	return nil
}
