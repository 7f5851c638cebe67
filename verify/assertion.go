package verify

import (
	"context"
	"crypto"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reasons to refuse an assertion (RFC 7523 §3), for the log.
var (
	errAssertionSize     = errors.New("it is too long")
	errAssertionType     = errors.New("typ is another")
	errAssertionIssuer   = errors.New("iss is another")
	errAssertionSubject  = errors.New("sub is another")
	errAssertionAlg      = errors.New("alg is not the one that is registered")
	errAssertionExpired  = errors.New("it has expired")
	errAssertionEarly    = errors.New("it is not valid yet: nbf or iat lies ahead")
	errAssertionLife     = errors.New("it lives too long")
	errAssertionID       = errors.New("jti is missing")
	errAssertionAudience = errors.New("aud must be one value, of those that are accepted")
)

// Assertion is a JWT by which a client, or an issuer, says something about its sender (RFC 7521,
// RFC 7523). It has been read, and is not verified: nothing that it says is to be trusted before
// Check has returned nil.
type Assertion struct {
	token Token
	parts compact
}

// AssertionRules are what an assertion must satisfy. The zero value accepts none.
type AssertionRules struct {
	Issuer  string // iss must equal it, byte for byte
	Subject string // likewise sub; empty: sub may be any

	Keys KeySet // the public keys of the issuer

	// Secrets are what the issuer may have signed with in the place of a key, by an HMAC (RFC 7518
	// §3.2). If there are some, no key is looked for.
	Secrets [][]byte

	// Algorithms are those that are accepted (RFC 7518 §3.1); empty: all.
	Algorithms []string

	// Types are the values of typ that are accepted, in the form of [Header].Type; "" stands for
	// none.
	Types []string

	// Audience are the values of which aud must have exactly one, and no other beside it
	// (draft-ietf-oauth-rfc7523bis §4). They are compared byte by byte.
	Audience []string

	// Leeway is how far the clocks may differ, for exp, nbf and iat.
	Leeway time.Duration

	// MaxLife is how far ahead exp may be, and how long after iat.
	MaxLife time.Duration

	// OptionalID says that there need be no jti: nothing keeps the assertion from being used again.
	OptionalID bool

	Now time.Time
}

// ParseAssertion reads an assertion. It is as strict as the reader of access tokens: a text has one
// meaning, or none. All of iss, sub, aud and exp must be there.
func ParseAssertion(jwt string) (*Assertion, error) {
	if len(jwt) > defaultTokenSize {
		return nil, errAssertionSize
	}
	a := new(Assertion)
	var err error
	if a.parts, err = parseCompact(jwt); err != nil {
		return nil, err
	}
	if err := parseHeader(a.parts.header, &a.token); err != nil {
		return nil, err
	}
	if err := parseClaims(a.parts.payload, &a.token); err != nil {
		return nil, err
	}
	if _, present := a.token.Claims["iss"]; !present {
		return nil, errIssuer
	}
	for _, kind := range [...]leniency{missingSubject, oddClaims, headerKeys} {
		if err := a.token.deviations[kind]; err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Claims returns what the assertion says.
func (a *Assertion) Claims() *Token { return &a.token }

// Check returns nil if the assertion satisfies the rules. The signature is the last thing that is
// looked at. If the keys are not available the error is an *[Error] with status 503; every other
// error is a fault of the assertion.
//
// Whether the jti was used before is for the caller to ask, after Check.
func (a *Assertion) Check(ctx context.Context, rules AssertionRules) error {
	t := &a.token
	switch {
	case !slices.Contains(rules.Types, t.Header.Type):
		return fmt.Errorf("%w: %.40q", errAssertionType, t.Header.Type)
	case rules.Issuer == "" || t.Issuer != rules.Issuer:
		return errAssertionIssuer
	case rules.Subject != "" && t.Subject != rules.Subject:
		return errAssertionSubject
	case t.ID == "" && !rules.OptionalID: // OpenID Connect Core §9; RFC 7523 §3 leaves it open
		return errAssertionID
	case len(t.Audience) != 1 || !slices.Contains(rules.Audience, t.Audience[0]):
		return fmt.Errorf("%w: it is %s, accepted: %s", errAssertionAudience, quoteSome(t.Audience), quoteSome(rules.Audience))
	}
	if err := a.checkTimes(rules); err != nil {
		return err
	}
	return a.checkSignature(ctx, rules)
}

// checkTimes: RFC 7523 §3, points 4 to 6.
func (a *Assertion) checkTimes(rules AssertionRules) error {
	t, soon := &a.token, rules.Now.Add(rules.Leeway)
	switch {
	case !rules.Now.Before(t.Expires.Add(rules.Leeway)):
		return errAssertionExpired
	case soon.Before(t.NotBefore) || soon.Before(t.IssuedAt):
		return errAssertionEarly
	case t.Expires.After(soon.Add(rules.MaxLife)), !t.IssuedAt.IsZero() && t.Expires.After(t.IssuedAt.Add(rules.MaxLife)):
		return fmt.Errorf("%w: %s is the most", errAssertionLife, rules.MaxLife)
	}
	return nil
}

// checkSignature: RFC 7523 §3, points 9 and 10. The key decides the algorithm (RFC 8725 §3.1). A
// kid may be left out where there is one key (OpenID Connect Core §10.1).
func (a *Assertion) checkSignature(ctx context.Context, rules AssertionRules) error {
	if len(rules.Secrets) > 0 {
		return a.checkMAC(rules)
	}
	algorithm, err := findAlgorithm(a.token.Header.Algorithm)
	if err != nil {
		return fmt.Errorf("alg %.40q: %w", a.token.Header.Algorithm, err)
	}
	accepts := func(name string) bool { return CanonicalAlgorithm(name) == algorithm.name }
	if len(rules.Algorithms) > 0 && !slices.ContainsFunc(rules.Algorithms, accepts) {
		return fmt.Errorf("%w: it is %s, not %s", errAssertionAlg, algorithm.name, strings.Join(rules.Algorithms, ", "))
	}
	key, err := findKey(ctx, rules.Keys, a.token.Header.KeyID, algorithm, true)
	if errors.Is(err, ErrUnknownKey) {
		return err
	}
	if err != nil {
		return unavailable(err)
	}
	return algorithm.verify(key, a.parts.input, a.parts.signature)
}

// checkMAC verifies an assertion by the secrets of its issuer. A secret is as long as the hash at
// least, or it is not used (RFC 7518 §3.2).
func (a *Assertion) checkMAC(rules AssertionRules) error {
	name := a.token.Header.Algorithm
	hash, known := macs[name]
	switch {
	case !known:
		return fmt.Errorf("alg %.40q: %w", name, errUnsupported)
	case len(rules.Algorithms) > 0 && !slices.Contains(rules.Algorithms, name):
		return fmt.Errorf("%w: it is %s, not %s", errAssertionAlg, name, strings.Join(rules.Algorithms, ", "))
	}
	failure := errKeyWeak
	for _, secret := range rules.Secrets {
		if len(secret) < hash.Size() {
			continue
		}
		mac := hmac.New(hash.New, secret)
		mac.Write([]byte(a.parts.input))
		if hmac.Equal(mac.Sum(nil), a.parts.signature) {
			return nil
		}
		failure = errSignature
	}
	return failure
}

// macs are the HMACs of RFC 7518 §3.2. An access token is verified by them only if its issuer has
// secrets: see sharedSecrets.
var macs = map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}

// MACAlgorithms returns the names of the algorithms that use a secret (RFC 7518 §3.2).
func MACAlgorithms() []string { return []string{"HS256", "HS384", "HS512"} }

// MACKeySize returns how long a secret must be for one of those algorithms, in bytes, or for any of
// them if it is none of them.
func MACKeySize(alg string) int {
	if hash, known := macs[alg]; known {
		return hash.Size()
	}
	return crypto.SHA256.Size()
}

// Algorithms returns the names of all algorithms by which signatures are verified (RFC 7518 §3.1,
// RFC 8037 §3.1). None of them uses a secret.
func Algorithms() []string { return algorithmNames() }
