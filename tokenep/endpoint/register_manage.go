package endpoint

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
)

// A client manages its registration by its registration access token (RFC 7592 §2). An id that no
// client has, that of a client which did not register itself, and a wrong token are refused alike.

// owner returns the client that a request is about, and the token that it presents.
func (e Registration) owner(r *http.Request) (c *tokenep.Client, token string, err error) {
	if token, err = bearer(r); err != nil {
		return nil, "", err
	}
	c, err = e.Registry.Authorized(r.Context(), r.URL.Query().Get("client_id"), token)
	return c, token, notOwner(err)
}

func notOwner(err error) error {
	if errors.Is(err, tokenep.InvalidClient) {
		return wrongToken("the registration access token is not valid").Because(err)
	}
	return err
}

// read answers with the registration as it is (RFC 7592 §2.1). The secret is not in it: its hash is
// all that is left of it here.
func (e Registration) read(r *http.Request, o *tokenep.Outcome) (*registration, error) {
	c, token, err := e.owner(r)
	if err != nil {
		return nil, err
	}
	o.Client = c
	return e.registration(r, registry.Registered{Client: *c, AccessToken: token}), nil
}

// serverMembers are set by the server, and must not be in the body of a change (RFC 7592 §2.2).
var serverMembers = []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}

// replace puts other metadata in the place of all that there are (RFC 7592 §2.2). What is left out
// gets the value that it would have in a new registration.
func (e Registration) replace(r *http.Request, o *tokenep.Outcome) (*registration, error) {
	c, token, err := e.owner(r)
	if err != nil {
		return nil, err
	}
	o.Client = c
	d, err := tokenep.ReadDocument(r, tokenep.InvalidClientMetadata)
	if err != nil {
		return nil, err
	}
	if err := checkSame(d, c); err != nil {
		return nil, err
	}
	client, err := e.Template.client(d)
	if err != nil {
		return nil, err
	}
	if err := e.Pace.Take(e.Front.Address(r)); err != nil {
		return nil, err
	}
	made, err := e.Registry.Replace(r.Context(), c.ID, token, client)
	if err != nil {
		return nil, notOwner(refusedMetadata(err))
	}
	e.event(r, o, &made.Client, "registration changed")
	return e.registration(r, made), nil
}

// checkSame refuses a change of what only the server sets.
func checkSame(d tokenep.Document, c *tokenep.Client) error {
	var id, secret string
	if err := errors.Join(d.Text("client_id", &id), d.Text("client_secret", &secret)); err != nil || id != c.ID {
		return tokenep.InvalidClientMetadata.Describe("client_id must be that of the registration").Because(err)
	}
	hash := []byte(tokenep.HashSecret(secret))
	switch {
	case d["client_secret"] != nil && !slices.ContainsFunc(c.Secrets, func(s tokenep.Secret) bool { return subtle.ConstantTimeCompare([]byte(s.Hash), hash) == 1 }):
		return tokenep.InvalidClientMetadata.Describe("client_secret must be that of the registration")
	case slices.ContainsFunc(serverMembers, func(name string) bool { return d[name] != nil }):
		return tokenep.InvalidClientMetadata.Describe("a member is there that only the server sets")
	}
	return nil
}

// remove ends the registration and all that came of it (RFC 7592 §2.3).
func (e Registration) remove(r *http.Request, o *tokenep.Outcome) error {
	c, _, err := e.owner(r)
	if err != nil {
		return err
	}
	if err := e.Registry.Remove(r.Context(), c.ID); err != nil {
		return notOwner(err)
	}
	e.event(r, o, c, "registration deleted")
	return nil
}
