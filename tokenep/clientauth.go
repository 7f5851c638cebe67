package tokenep

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
)

// ClientAuth is one way for a client to authenticate: one token_endpoint_auth_method.
type ClientAuth interface {
	// Method is the registered name (RFC 7591 §2), as metadata lists it.
	Method() string
	// Credentials finds this method's credentials in the request; nil when it was not used. An error means that it was used, and wrongly.
	Credentials(r *Request) (*Credentials, error)
	// Verify checks them for the client; c is nil for an id that nobody has, and the check then takes as long as any other before it fails.
	Verify(ctx context.Context, c *Client, cr *Credentials) error
}

// Credentials is what a request says about who sent it.
type Credentials struct {
	Method   string
	Readings []Reading // what was sent may be read in several ways; the first reading comes from the RFC
}

// Reading is one understanding of an id and a secret.
type Reading struct{ ID, Secret string }

// Authenticator finds out which client sent a request (RFC 6749 §2.3).
type Authenticator struct {
	Methods []ClientAuth
	Clients Clients
	Limiter *Limiter                       // of failures; nil: none
	Address func(*http.Request) netip.Addr // whom failures are counted against; nil: the peer of the connection
}

// Authenticate returns the client, or nil when the request names none. A client that fails, for whatever reason, gets the same InvalidClient: whether
// the id exists is not for it to know. Exactly one method may be used in a request.
func (a *Authenticator) Authenticate(ctx context.Context, r *Request) (*Client, error) {
	method, credentials, err := a.credentials(r)
	if err != nil || credentials == nil {
		return nil, err
	}
	claimed := credentials.Readings[0].ID
	address := a.address(r.Request)
	if err := a.Limiter.Allow(ctx, address); err != nil {
		return nil, err
	}
	c, err := a.verify(ctx, r, method, credentials)
	switch {
	case err == nil:
		if err := a.Limiter.Succeeded(address, claimed); err != nil {
			return nil, err
		}
		return c, nil
	case errors.Is(err, InvalidClient):
		if err := a.Limiter.Failed(address, claimed); err != nil {
			return nil, err
		}
		return nil, InvalidClient.Describe("client authentication failed").Because(err)
	default:
		return nil, err
	}
}

// verify tries the readings in turn and returns the first client that one of them is right for.
func (a *Authenticator) verify(ctx context.Context, r *Request, method ClientAuth, cr *Credentials) (*Client, error) {
	var failure error
	for i, reading := range cr.Readings {
		if slices.ContainsFunc(cr.Readings[:i], func(earlier Reading) bool { return earlier.ID == reading.ID }) {
			continue
		}
		c, err := a.Clients(ctx, reading.ID)
		if errors.Is(err, InvalidClient) {
			continue
		}
		if err == nil {
			r.Claimed = c.ID
			if err = method.Verify(ctx, c, cr); err == nil {
				return c, nil
			}
		}
		if !errors.Is(err, InvalidClient) {
			return nil, err
		}
		failure = err
	}
	if failure == nil {
		failure = method.Verify(ctx, nil, cr)
	}
	return nil, failure
}

func (a *Authenticator) address(r *http.Request) netip.Addr {
	if a.Address != nil {
		return a.Address(r)
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

// credentials finds the one method that the request uses.
func (a *Authenticator) credentials(r *Request) (method ClientAuth, found *Credentials, err error) {
	if len(r.Header.Values("Authorization")) > 1 {
		return nil, nil, InvalidRequest.Describe("the Authorization header is repeated")
	}
	for _, m := range a.Methods {
		credentials, err := m.Credentials(r)
		switch {
		case err != nil:
			return nil, nil, err
		case credentials != nil && found != nil:
			return nil, nil, InvalidRequest.Describe("more than one method of client authentication is used")
		case credentials != nil:
			method, found = m, credentials
		}
	}
	// A client assertion is a method too (RFC 7521 §4.2).
	if r.Form.Get("client_assertion") != "" || r.Form.Get("client_assertion_type") != "" {
		if found != nil && found.Method != AuthNone {
			return nil, nil, InvalidRequest.Describe("more than one method of client authentication is used")
		}
		return nil, nil, InvalidClient.Describe("this method of client authentication is not supported")
	}
	return method, found, nil
}

// LogValue keeps credentials out of every log.
func (Credentials) LogValue() slog.Value { return slog.StringValue("…") }
