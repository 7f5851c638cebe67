package clientauth

import (
	"context"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Post is client_secret_post (RFC 6749 §2.3.1): client_id and client_secret in the body, and never
// in the URL. A client_secret alone is that of the client that is set to be meant by it.
type Post struct{ Secrets *Secrets }

// Method returns client_secret_post.
func (Post) Method() string { return tokenep.AuthPost }

// RefusalWrites returns 0.
func (Post) RefusalWrites() tokenep.Effects { return 0 }

// Credentials reads the body.
func (p Post) Credentials(r *tokenep.Request) (*tokenep.Credentials, error) {
	id, secret := r.Form.Get("client_id"), r.Form.Get("client_secret")
	switch {
	case secret == "":
		return nil, nil
	case hasBasic(r):
		return nil, tokenep.InvalidRequest.Describe("more than one method of client authentication is used")
	case id == "" && p.Secrets != nil:
		id = p.Secrets.withoutID
	}
	if id == "" {
		return nil, tokenep.InvalidClient.Describe("client_secret came without a client_id")
	}
	return &tokenep.Credentials{Method: tokenep.AuthPost, Readings: []tokenep.Reading{{ID: id, Secret: secret}}}, nil
}

// Verify compares the secret.
func (p Post) Verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	return p.Secrets.verify(ctx, c, cr)
}

func hasBasic(r *tokenep.Request) bool {
	_, ok := basicCredentials(r.Header)
	return ok
}
