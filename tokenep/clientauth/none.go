package clientauth

import (
	"context"
	"errors"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// None is the method of public clients (RFC 6749 §2.1), which have nothing to prove themselves with: client_id in the
// body (RFC 6749 §3.2.1), or Basic with an empty password.
type None struct{}

// Method returns none.
func (None) Method() string { return tokenep.AuthNone }

// Credentials finds a client that names itself and shows nothing else.
func (None) Credentials(r *tokenep.Request) (*tokenep.Credentials, error) {
	readings := []tokenep.Reading{{ID: r.Form.Get("client_id")}}
	if encoded, ok := basicCredentials(r); ok {
		var err error
		if readings, err = parseBasic(encoded); err == nil {
			readings, err = sameClient(r, readings)
		}
		if err != nil || readings[0].Secret != "" {
			return nil, nil // for Basic to judge
		}
	}
	if readings[0].ID == "" || r.Form.Get("client_secret") != "" || r.Form.Get("client_assertion") != "" {
		return nil, nil
	}
	return &tokenep.Credentials{Method: tokenep.AuthNone, Readings: readings}, nil
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
