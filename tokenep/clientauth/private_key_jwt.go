package clientauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// AssertionType is the client_assertion_type of a JWT (RFC 7523 §2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// What the clocks of client and server may differ by, and how long an assertion may live: its jti
// is remembered for as long.
const (
	assertionLeeway  = 30 * time.Second
	maxAssertionLife = time.Hour
)

// The values of typ that an assertion may have, if it has one. The second is that of
// draft-ietf-oauth-rfc7523bis, by which the client says that aud is the issuer alone.
const (
	typeJWT                  = "jwt"
	typeClientAuthentication = "client-authentication+jwt"
)

// PrivateKeyJWT is private_key_jwt (RFC 7523 §2.2, OpenID Connect Core §9): an assertion that the
// client has signed with a key of its own, and that is good once.
//
//	client_assertion_type  REQUIRED  AssertionType
//	client_assertion       REQUIRED  a JWT: iss and sub are the client, aud is this server, and
//	                                 exp and jti are there
//	client_id              OPTIONAL  the same client (RFC 7521 §4.2)
//
// Whatever is wrong with it, the answer is the same.
type PrivateKeyJWT struct{ *Assertions }

// Assertions is what is needed to verify assertions of clients.
type Assertions struct {
	Issuer string // of this server
	Origin string // scheme and host of its URLs

	// TokenEndpoints returns the URLs of the token endpoint, as metadata have them.
	TokenEndpoints func() []string

	Keys *Keys
	Seen state.Seen // the assertions that were used
	Now  func() time.Time
}

// Method returns private_key_jwt.
func (PrivateKeyJWT) Method() string { return tokenep.AuthPrivateKeyJWT }

// RefusalWrites returns SpendsID: what is wrong with the request may be found after the assertion
// was found good.
func (PrivateKeyJWT) RefusalWrites() tokenep.Effects { return tokenep.SpendsID }

var (
	errAssertionType = errors.New("client_assertion and a client_assertion_type that is known are needed both")
	errOtherClient   = errors.New("client_id differs from the sub of the assertion")
)

// Credentials reads the assertion. The client is the one that its sub names, which is verified
// later.
func (p PrivateKeyJWT) Credentials(r *tokenep.Request) (*tokenep.Credentials, error) {
	if !hasAssertion(r) {
		return nil, nil
	}
	failed := func(cause error) error {
		return tokenep.InvalidClient.Describe(failure).Because(cause)
	}
	if r.Form.Get("client_assertion_type") != AssertionType {
		return nil, failed(errAssertionType)
	}
	assertion, err := verify.ParseAssertion(r.Form.Get("client_assertion"))
	if err != nil {
		return nil, failed(fmt.Errorf("client_assertion: %w", err))
	}
	id := assertion.Claims().Subject
	if claimed := r.Form.Get("client_id"); claimed != "" && claimed != id {
		return nil, failed(errOtherClient)
	}
	return &tokenep.Credentials{
		Method: tokenep.AuthPrivateKeyJWT, Readings: []tokenep.Reading{{ID: id}},
		Assertion: assertion, Endpoint: p.Origin + (&url.URL{Path: r.URL.Path}).EscapedPath(),
	}, nil
}

// failure is what a client is told, whatever has failed.
const failure = "client authentication failed"

// hasAssertion reports whether there is an assertion, or half of one.
func hasAssertion(r *tokenep.Request) bool {
	return r.Form.Get("client_assertion") != "" || r.Form.Get("client_assertion_type") != ""
}

// Verify checks the assertion (RFC 7523 §3), and spends its jti when everything else was good. For
// an id that no client has, and for a client of another method, it verifies a signature with a
// decoy.
func (p PrivateKeyJWT) Verify(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials) error {
	rules := p.rules(c, cr)
	if c == nil || !c.Authenticates(tokenep.AuthPrivateKeyJWT) {
		cause := errUnknown
		if c != nil {
			cause = fmt.Errorf("client %q: %w", c.ID, errMethod)
		}
		rules.Keys = decoyKeys{}
		_ = cr.Assertion.Check(ctx, rules) // for the time that it takes
		return tokenep.InvalidClient.Describe("").Because(cause)
	}
	var err error
	if rules.Keys, err = p.Keys.Of(c); err != nil {
		return err
	}
	return p.check(ctx, c, cr, rules)
}

// check holds an assertion to its rules, and spends its jti.
func (p PrivateKeyJWT) check(ctx context.Context, c *tokenep.Client, cr *tokenep.Credentials, rules verify.AssertionRules) error {
	failed := func(cause error) error {
		return tokenep.InvalidClient.Describe("").Because(fmt.Errorf("client %q: client_assertion: %w", c.ID, cause))
	}
	if err := cr.Assertion.Check(ctx, rules); tokenep.AsUnavailable(err) != nil {
		return keysUnavailable(err)
	} else if err != nil {
		return failed(err)
	}
	claims := cr.Assertion.Claims()
	err := p.Seen.Add(ctx, "client assertion "+c.ID, claims.ID, claims.Expires)
	if errors.Is(err, state.ErrSpent) || errors.Is(err, state.ErrExpired) || errors.Is(err, state.ErrInvalid) {
		return failed(fmt.Errorf("jti: %w", err))
	}
	return err
}

// keysUnavailable makes an error of a key set one that says so.
func keysUnavailable(err error) error {
	e := tokenep.TemporarilyUnavailable.Describe("the keys of the client are not available; try again").Because(err)
	e.RetryAfter = 5 * time.Second
	return e
}

// isMAC reports whether an alg is by a secret.
func isMAC(alg string) bool { return slices.Contains(verify.MACAlgorithms(), alg) }

// rules returns what an assertion of the client must satisfy; c may be nil.
func (p PrivateKeyJWT) rules(c *tokenep.Client, cr *tokenep.Credentials) verify.AssertionRules {
	id := cr.Readings[0].ID
	rules := verify.AssertionRules{
		Issuer: id, Subject: id, Types: []string{"", typeJWT, typeClientAuthentication},
		Leeway: assertionLeeway, MaxLife: maxAssertionLife, Now: p.Now(),
	}
	strict := cr.Assertion.Claims().Header.Type == typeClientAuthentication
	if c != nil {
		strict = strict || c.AssertionAudience == tokenep.AudienceStrict
		if c.AuthSigningAlg != "" {
			rules.Algorithms = []string{c.AuthSigningAlg}
		}
	}
	if strict {
		rules.Audience = []string{p.Issuer}
	} else {
		rules.Audience = append([]string{p.Issuer, cr.Endpoint}, p.TokenEndpoints()...)
	}
	return rules
}
