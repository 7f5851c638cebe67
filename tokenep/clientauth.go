package tokenep

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/tokenep/caddy-tokenep/verify"
)

// ClientAuth is one way for a client to authenticate: one token_endpoint_auth_method.
type ClientAuth interface {
	// Method returns the registered name (RFC 7591 §2), as metadata lists it.
	Method() string

	// Credentials returns this method's credentials in the request; nil when it was not used. An
	// error means that it was used, and wrongly.
	Credentials(r *Request) (*Credentials, error)

	// Verify checks the credentials for the client. c is nil for an id that no client has: the
	// check then takes as long as any other before it fails.
	Verify(ctx context.Context, c *Client, cr *Credentials) error

	// RefusalWrites returns what a refused request may change all the same; 0: nothing.
	RefusalWrites() Effects
}

// headerAuth is what a ClientAuth may have beside, if its credentials are in the header.
type headerAuth interface {
	// CheckHeader returns the error of Credentials for a header that is wrong whatever the body
	// has. It is called before the body is read, so that no refusal waits for that.
	CheckHeader(h http.Header) error
}

// chosenAuth is what a ClientAuth has beside, if its credentials look like those of another method:
// then that one finds them, and what the client is registered for decides.
type chosenAuth interface {
	// Takes reports whether credentials that another method has found are for this one.
	Takes(c *Client, cr *Credentials) bool
}

// Credentials is what a request says about its sender.
type Credentials struct {
	Method string

	// Request is what was sent, for methods that look at the connection; nil for others.
	Request *http.Request

	// What was sent may be read in several ways. The first reading is that of the RFC.
	Readings []Reading

	// Assertion is that of the client (RFC 7521 §4.2), which is not verified yet; nil: there is
	// none. Endpoint is the URL to which it was sent.
	Assertion *verify.Assertion
	Endpoint  string

	// Attempt is set by Authenticator before Verify. A method that does costly work counts the
	// attempt first.
	Attempt *Attempt
}

// Reading is one understanding of an id and a secret.
type Reading struct{ ID, Secret string }

// Authenticator finds out which client sent a request (RFC 6749 §2.3).
type Authenticator struct {
	Methods []ClientAuth
	Clients Clients
	Limiter *Limiter  // of failures; nil: none
	Limit   RateLimit // that the Limiter keeps

	// Address returns the address that failures are counted for; nil: that of the peer.
	Address func(*http.Request) netip.Addr
}

// Authenticate returns the client, or nil when the request names none. A client that fails gets the
// same InvalidClient for every reason: it does not learn whether the id exists. Exactly one method
// may be used in a request.
func (a *Authenticator) Authenticate(ctx context.Context, r *Request) (*Client, error) {
	method, credentials, err := a.credentials(r)
	if err != nil || credentials == nil {
		return nil, err
	}
	attempt := a.Limiter.Attempt(a.Limit, a.RemoteAddress(r.Request), credentials.Readings[0].ID)
	if err := attempt.Allow(ctx); err != nil {
		return nil, err
	}
	credentials.Attempt = attempt
	c, err := a.verify(ctx, r, method, credentials)
	switch {
	case err == nil:
		if err := attempt.Succeeded(); err != nil {
			return nil, err
		}
		return c, nil
	case errors.Is(err, InvalidClient):
		if err := attempt.Count(); err != nil {
			return nil, err
		}
		return nil, InvalidClient.Describe("client authentication failed").Because(err)
	default:
		return nil, err
	}
}

// verify tries the readings in turn, and returns the first client for which one is right.
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
			r.Outcome.Claimed = c.ID
			if err = a.chosen(method, c, cr).Verify(ctx, c, cr); err == nil {
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

// chosen returns the method that verifies the credentials of a client.
func (a *Authenticator) chosen(found ClientAuth, c *Client, cr *Credentials) ClientAuth {
	for _, m := range a.Methods {
		if m, ok := m.(chosenAuth); ok && m.Takes(c, cr) {
			return m.(ClientAuth)
		}
	}
	return found
}

// RemoteAddress returns the address that failures of a request are counted for.
func (a *Authenticator) RemoteAddress(r *http.Request) netip.Addr {
	if a.Address != nil {
		return a.Address(r)
	}
	return PeerAddress(r)
}

// PeerAddress returns the address of the other end of the connection.
func PeerAddress(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

// checkHeader refuses what is wrong whatever the body has; a may be nil.
func (a *Authenticator) checkHeader(h http.Header) error {
	if len(h.Values("Authorization")) > 1 {
		return InvalidRequest.Describe("the Authorization header is repeated")
	}
	if a == nil {
		return nil
	}
	for _, m := range a.Methods {
		if m, ok := m.(headerAuth); ok {
			if err := m.CheckHeader(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// credentials returns the one method that the request uses (RFC 6749 §2.3). That there are two is
// told before anything is said about either.
func (a *Authenticator) credentials(r *Request) (method ClientAuth, found *Credentials, err error) {
	if !r.checked {
		if err := a.checkHeader(r.Header); err != nil {
			return nil, nil, err
		}
	}
	used := 0
	for _, m := range a.Methods {
		credentials, wrong := m.Credentials(r)
		if credentials == nil && wrong == nil {
			continue
		}
		if used++; used > 1 {
			return nil, nil, InvalidRequest.Describe("more than one method of client authentication is used")
		}
		method, found, err = m, credentials, wrong
	}
	return method, found, err
}

// LogValue keeps credentials out of every log.
func (Credentials) LogValue() slog.Value { return slog.StringValue("…") }
