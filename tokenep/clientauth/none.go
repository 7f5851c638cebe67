package clientauth

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// None is the method of public clients (RFC 6749 §2.1), which have nothing to prove themselves
// with: client_id in the body (RFC 6749 §3.2.1). A client that says the same by Basic with an empty
// password is found by Basic, and verified here.
type None struct{}

// Method returns none.
func (None) Method() string { return tokenep.AuthNone }

// RefusalWrites returns 0.
func (None) RefusalWrites() tokenep.Effects { return 0 }

// Credentials finds a client that names itself and shows nothing else. If it is registered for one
// of the methods of RFC 8705, its certificate is looked at.
func (None) Credentials(r *tokenep.Request) (*tokenep.Credentials, error) {
	id := r.Form.Get("client_id")
	if id == "" || hasBasic(r) || r.Form.Get("client_secret") != "" || hasAssertion(r) {
		return nil, nil
	}
	return &tokenep.Credentials{Method: tokenep.AuthNone, Readings: []tokenep.Reading{{ID: id}}, Request: r.Request}, nil
}

var errConfidential = errors.New("a confidential client sent no secret")

// Verify accepts public clients. A confidential one never falls back to being public.
func (None) Verify(_ context.Context, c *tokenep.Client, _ *tokenep.Credentials) error {
	switch {
	case c == nil:
		return tokenep.InvalidClient.Describe("").Because(errUnknown)
	case !c.Public():
		return tokenep.InvalidClient.Describe("").Because(errConfidential)
	}
	return nil
}
