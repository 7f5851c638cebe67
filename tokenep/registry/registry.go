package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const kindClient = "client" // id: the client_id; expires if it registered itself and is not used

// Registry is the clients that were made at run time, beside those of the configuration. Load is
// one look-up and one decoding, however many there are.
type Registry struct {
	Store store.Store
	Now   func() time.Time

	// Complete checks a client that is added, and may change it, as server.Server.CompleteClient
	// does; nil: tokenep.Client.Validate.
	Complete func(c *tokenep.Client) error

	// With Revocations, Remove ends the access tokens of the client too, which live for TokenLife
	// or the client's own AccessTokenTTL at most. Without, they stay good until they expire.
	Revocations *state.Revocations
	TokenLife   func() time.Duration
}

// Add registers a client. It makes the client's secret, which is returned here and nowhere else; a
// client has none whose AuthMethod is none, which is public (RFC 6749 §2.1), or that has keys and
// no method with a secret. The error Is state.ErrInvalid when a field of c is outside its limits,
// and store.ErrExists when the id is taken.
func (s Registry) Add(ctx context.Context, c tokenep.Client) (secret string, err error) {
	c.SelfRegistered, c.UnusedUntil = false, 0
	if secret, err = s.prepare(&c); err != nil {
		return "", err
	}
	err = record.Insert(ctx, s.Store, kindClient, c.ID, c, time.Time{})
	if errors.Is(err, store.ErrExists) {
		return "", fmt.Errorf("there is a client %q already: %w", c.ID, store.ErrExists)
	}
	if err != nil {
		return "", fmt.Errorf("adding client %q: %w", c.ID, err)
	}
	return secret, nil
}

// prepare checks a client that is new, and completes it.
func (s Registry) prepare(c *tokenep.Client) (secret string, err error) {
	if len(c.Secrets) > 0 {
		return "", record.Invalidf("client %q: its secret is generated and must not be given", c.ID)
	}
	if c.NeedsSecret() {
		secret = newSecret(c.ID)
		c.Secrets = []tokenep.Secret{{Hash: tokenep.HashSecret(secret)}}
	}
	if err := s.check(c); err != nil {
		return "", err
	}
	c.IssuedAt = s.Now().Unix()
	c.RegistrationID = rand.Text()
	return secret, nil
}

// check returns what is wrong with a client that is to be stored.
func (s Registry) check(c *tokenep.Client) error {
	if c.JWKSFile != "" {
		return record.Invalidf("client %q: jwks_file is for clients of a configuration; give its keys as jwks, or their jwks_uri", c.ID)
	}
	complete := s.Complete
	if complete == nil {
		complete = (*tokenep.Client).Validate
	}
	if err := complete(c); err != nil {
		return record.Invalidf("%v", err)
	}
	if err := checkClient(*c); err != nil {
		return fmt.Errorf("client %q: %w", c.ID, err)
	}
	return nil
}

// Load returns a client. The error Is tokenep.InvalidClient for an unknown id, and for a client
// that registered itself and was not used in time.
func (s Registry) Load(ctx context.Context, id string) (*tokenep.Client, error) {
	if store.CheckKey(kindClient, id) != nil {
		return nil, fmt.Errorf("no client has an id of %d bytes: %w", len(id), tokenep.InvalidClient)
	}
	c, err := record.Load[tokenep.Client](ctx, s.Store, kindClient, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("no client %q in the store: %w", id, tokenep.InvalidClient)
	}
	if err != nil {
		return nil, err
	}
	if s.over(c.Record) {
		return nil, fmt.Errorf("client %q was not used in time: %w", id, tokenep.InvalidClient)
	}
	return &c.Value, nil
}

// over reports whether a registration has ended that nobody used.
func (s Registry) over(r store.Record) bool { return !r.Expires.IsZero() && !s.Now().Before(r.Expires) }

// List returns up to limit (1 to store.MaxPage) clients whose ids are greater than after, ordered
// by id. To go on, pass the last id as after; an empty page is the end. The clients carry the
// hashes of their secrets, which must not be shown.
func (s Registry) List(ctx context.Context, after string, limit int) ([]tokenep.Client, error) {
	records, err := s.Store.List(ctx, kindClient, "", after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing clients: %w", err)
	}
	clients := make([]tokenep.Client, 0, len(records))
	for _, r := range records {
		c, err := record.Decode[tokenep.Client](r)
		if err != nil {
			return nil, fmt.Errorf("client %q: %w", r.ID, err)
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// Update changes the metadata of a client, which edit gets and changes. Its id, its registration,
// its secrets and its tokens stay; it gets a secret if it needs one and had none, and loses those
// that it needs no more. The error Is tokenep.InvalidClient for an unknown id, and state.ErrInvalid
// when a field is outside its limits; an error of edit is returned as it is.
func (s Registry) Update(ctx context.Context, id string, edit func(c *tokenep.Client) error) (r Registered, err error) {
	made := newSecret(id)
	v, err := s.change(ctx, id, func(v *registered) (bool, error) {
		next := v.Client
		if err := edit(&next); err != nil {
			return false, err
		}
		r.Secret, err = s.replace(&v.Client, next, made)
		return true, err
	})
	if err != nil {
		return Registered{}, err
	}
	r.Client = v.Client
	return r, nil
}

// replace puts the metadata of next in the place of those of c, and returns the secret, which is
// made, if c had none and needs one now.
func (s Registry) replace(c *tokenep.Client, next tokenep.Client, made string) (secret string, err error) {
	next.ID, next.SelfRegistered, next.UnusedUntil = c.ID, c.SelfRegistered, c.UnusedUntil
	next.IssuedAt, next.RegistrationID, next.Secrets = c.IssuedAt, c.RegistrationID, nil
	switch {
	case !next.NeedsSecret():
	case len(c.Secrets) > 0:
		next.Secrets = c.Secrets
	default:
		secret = made
		next.Secrets = []tokenep.Secret{{Hash: tokenep.HashSecret(made)}}
	}
	if err := s.check(&next); err != nil {
		return "", err
	}
	*c = next
	return secret, nil
}

// Remove deletes a client and ends its access tokens (RFC 7592 §2.3): when it has returned, the
// client cannot authenticate. Tokens carry the registration under which they were issued, so those
// end too that are just being issued to the client as it was, and those of a later client with the
// same id do not. The error Is tokenep.InvalidClient for an unknown id; after any other, Remove can
// be repeated.
func (s Registry) Remove(ctx context.Context, id string) error {
	c, err := s.Load(ctx, id)
	if err != nil {
		return err
	}
	// The tokens end first: once the client is gone, a Remove that is repeated does not find it,
	// and would leave them.
	if err := s.revokeTokens(ctx, c); err != nil {
		return err
	}
	if err := s.Store.Delete(ctx, kindClient, id); err != nil {
		return fmt.Errorf("removing client %q: %w", id, err)
	}
	return s.revokeTokens(ctx, c) // for as long as one lives that is issued at this moment
}

// revokeTokens ends the access tokens that are issued under a registration until now, and remembers
// it until the last of them has expired.
func (s Registry) revokeTokens(ctx context.Context, c *tokenep.Client) error {
	if s.Revocations == nil {
		return nil
	}
	if s.TokenLife == nil {
		return errors.New("nothing is revoked without TokenLife: access tokens would stay good")
	}
	life := max(s.TokenLife(), time.Duration(c.AccessTokenTTL)) + state.RevocationSlack
	return s.Revocations.Add(ctx, verify.Revocation{Claim: "grant_id", Value: c.RegistrationID, Expires: s.Now().Add(life)})
}

// checkClient checks the limits of what people write, beside Client.Validate.
func checkClient(c tokenep.Client) error {
	if err := record.CheckText("the name", c.Name, record.MaxName); err != nil {
		return err
	}
	if c.JWKSURI != "" {
		if err := record.CheckText("jwks_uri", c.JWKSURI, record.MaxTarget); err != nil {
			return err
		}
	}
	for _, audience := range c.Audience {
		if err := record.CheckText("an audience", audience, record.MaxTarget); err != nil {
			return err
		}
	}
	return record.CheckScope(c.Scope)
}
