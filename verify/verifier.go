package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Config describes a Verifier. The zero value of each option is the strict one.
type Config struct {
	// Issuers are the authorization servers whose tokens are accepted; at least one is required.
	Issuers []TrustedIssuer

	// SPIFFE says that the issuers are SPIFFE trust domains, as TrustDomain returns them, and their
	// tokens JWT-SVIDs: a token is of the domain that its sub is a SPIFFE ID of, and iss, which
	// there need not be, is not looked at. Token.Issuer is the SPIFFE ID of the domain.
	SPIFFE bool

	// Cache remembers proven tokens; nil for none. Verifiers with different rules may share one,
	// since what it holds is true for all of them.
	Cache *Cache

	// Leeway is how far the clocks of issuer and verifier may differ, for exp, nbf and iat. 30 s is
	// a good value; it must not exceed MaxLeeway.
	Leeway time.Duration

	// InsecureExpired accepts tokens for so long after their expiry. It is for an issuer that
	// renews its own tokens, and for no resource.
	InsecureExpired time.Duration

	// MaxLifetime is how long after iat a token may expire; it is refused then without iat. Zero:
	// no limit.
	MaxLifetime time.Duration

	// RequireClaims are claims of which a token must have all, beside those that its issuer's
	// RequireClaims name.
	RequireClaims []string

	// Authentication is what is required of the sign-in of the person (RFC 9470).
	Authentication Authentication

	// MaxTokenSize is the length of the longest token accepted, in bytes; 0 stands for 8192. It
	// must be at least 256.
	MaxTokenSize int

	// DPoP takes proofs of possession of the keys that tokens are bound to by cnf.jkt (RFC 9449).
	// nil: such tokens are refused.
	DPoP *DPoP

	// RequireCertificate refuses tokens that are not bound to a certificate by cnf.x5t#S256 (RFC
	// 8705 §3.1). Those that are need no option: the client must present the certificate.
	RequireCertificate bool

	// Now is the clock; nil for time.Now.
	Now func() time.Time
}

// TrustedIssuer is an authorization server whose tokens are accepted, and what they must satisfy.
type TrustedIssuer struct {
	// Name is the issuer identifier. iss must equal it byte for byte (RFC 8414 §2).
	Name string

	// Keys holds the public keys of the issuer. Required, unless Introspect or Secrets is set.
	Keys KeySet

	// Secrets are what the issuer signs with in the place of a key, by an HMAC (RFC 7518 §3.2): any
	// of them is accepted, whatever kid says, for one of Algorithms, which are HS256 alone if there
	// are none. Each is as long as the hash at least. Whoever knows one can make tokens. They
	// exclude Keys.
	Secrets [][]byte

	// Introspect asks the issuer about a token that is none of its JWTs, nor one of another issuer
	// whose keys are known; without Keys, about its JWTs too. Such a token is judged by what the
	// issuer says of it, without Profile, Types and Algorithms: audience, times, claims,
	// confirmation and revocation are those of a JWT. One issuer of a Verifier may have it, since
	// an opaque token does not say whose it is. nil: there are only JWTs. Package introspection has
	// one.
	Introspect Introspector

	// Audience names this resource server: one of these must be in aud (RFC 9068 §4).
	// InsecureAnyAudience drops the check, and accepts tokens issued for other servers.
	Audience            []string
	InsecureAnyAudience bool

	// InsecureAnyConfirmation accepts tokens that are bound to a key (cnf, RFC 7800 §3.1) without
	// proof of its possession. It is for who answers what a token says, and gives no access.
	InsecureAnyConfirmation bool

	// Algorithms restricts the algorithms of the issuer's keys (RFC 7518 §3.1); empty: no
	// restriction.
	Algorithms []string

	// AudienceClaim is the claim that is compared with Audience; empty: aud. Some issuers name the
	// client alone: in client_id, azp or cid.
	AudienceClaim string

	// Profile decides what the options below do not say; empty: ProfileRFC9068.
	Profile Profile

	// Types are the values of typ that are accepted, "" for a token without typ; empty: those of
	// the profile.
	Types []string

	// RequireClaims are claims of which a token must have all, RefuseClaims those of which it must
	// have none. Each is a path as [ParseClaimPath] reads it, or path=value for a string, number or
	// boolean, or for an element of a list. A nil RefuseClaims stands for what the profile takes
	// for the mark of another kind of token, such as an ID token; an empty one for nothing.
	RequireClaims []string
	RefuseClaims  []string

	// AllowMissingSubject accepts a token without sub. Token.Subject is then empty, as it is where
	// sub is not a string. ProfileJWT includes this and the next three.
	AllowMissingSubject bool

	// AllowLooseScope accepts a scope of any form. A list of strings and a string with runs of
	// spaces are read, anything else is an empty scope. Where there is no scope, scp is read.
	AllowLooseScope bool

	// AllowOddClaims accepts an optional claim that is null or of a wrong type, and reads it as
	// absent: client_id, jti, aud and iat, and nbf and cnf that are null. An iat in milliseconds is
	// read as absent too.
	AllowOddClaims bool

	// AllowHeaderKeys accepts header members that are ignored: jwk, jku, x5u and x5c, a zip that is
	// NONE, a b64 that is true, and null for any of these, kid and typ. The header may have 16 KiB
	// then, as it is encoded; otherwise 2 KiB.
	AllowHeaderKeys bool

	// AllowMissingKeyID accepts a token without kid, or with an empty one, if the issuer has
	// exactly one key.
	AllowMissingKeyID bool

	// Revocations holds what was revoked before it expired; nil for none.
	Revocations *Revocations

	// RevocationMaxAge is how long ago Revocations may have been complete for the last time (see
	// [Revocations.Followed]). Beyond that every token is answered with 503, since it may have been
	// revoked. Zero: no limit.
	RevocationMaxAge time.Duration

	own    terms          // of this issuer, from Profile and the options
	shared []sharedSecret // nil: it has keys
	spiffe bool           // it is a trust domain
}

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*TrustedIssuer
	asked   *TrustedIssuer // the one that is asked about tokens; nil: there is none
	spiffe  bool
	cache   *Cache
	leeway  time.Duration
	expired time.Duration // InsecureExpired
	maxLife time.Duration
	signIn  Authentication
	maxSize int
	dpop    *DPoP // nil: none
	mtls    bool  // RequireCertificate
	now     func() time.Time
}

// MaxLeeway is the largest Config.Leeway. A token may be accepted for that long after its expiry,
// so keys and revocations must be kept for that much longer.
const MaxLeeway = 5 * time.Minute

const defaultTokenSize = 8192

// minTokenSize is shorter than any token with the claims of RFC 9068 §2.2 and a signature.
const minTokenSize = 256

// New returns a Verifier for c, or what is wrong with c.
func New(c Config) (*Verifier, error) {
	if len(c.Issuers) == 0 {
		return nil, errors.New("verify: no issuer")
	}
	if c.Leeway < 0 || c.Leeway > MaxLeeway {
		return nil, fmt.Errorf("verify: leeway %s is not between 0 and %s", c.Leeway, MaxLeeway)
	}
	if c.InsecureExpired < 0 {
		return nil, errors.New("verify: InsecureExpired must not be negative")
	}
	if c.MaxTokenSize != 0 && c.MaxTokenSize < minTokenSize {
		return nil, fmt.Errorf("verify: no token fits into %d bytes; the greatest token size is %d at least", c.MaxTokenSize, minTokenSize)
	}
	if c.MaxLifetime < 0 {
		return nil, errors.New("verify: MaxLifetime must not be negative")
	}
	if err := c.Authentication.check(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v := &Verifier{issuers: make(map[string]*TrustedIssuer, len(c.Issuers)), spiffe: c.SPIFFE, cache: c.Cache, leeway: c.Leeway,
		expired: c.InsecureExpired, maxLife: c.MaxLifetime, signIn: c.Authentication, maxSize: c.MaxTokenSize,
		dpop: c.DPoP, mtls: c.RequireCertificate, now: c.Now}
	v.signIn.ACRValues = slices.Clone(c.Authentication.ACRValues)
	if v.maxSize == 0 {
		v.maxSize = defaultTokenSize
	}
	if v.now == nil {
		v.now = time.Now
	}
	for _, issuer := range c.Issuers {
		if v.issuers[issuer.Name] != nil {
			return nil, fmt.Errorf("verify: issuer %q occurs twice", issuer.Name)
		}
		issuer.spiffe = c.SPIFFE
		issuer.RequireClaims = slices.Concat(issuer.RequireClaims, c.RequireClaims)
		if err := issuer.normalize(); err != nil {
			return nil, fmt.Errorf("verify: issuer %q: %w", issuer.Name, err)
		}
		if issuer.Introspect != nil && v.asked != nil {
			return nil, fmt.Errorf("verify: issuers %q and %q have introspection: an opaque token does not say whose it is, so that one can", v.asked.Name, issuer.Name)
		}
		v.issuers[issuer.Name] = &issuer
		if issuer.Introspect != nil {
			v.asked = &issuer
		}
	}
	return v, nil
}

// normalize validates i, and replaces its lists by copies in the form in which tokens are compared
// with them.
func (i *TrustedIssuer) normalize() error {
	switch {
	case i.Name == "":
		return errors.New("no name")
	case i.Keys == nil && i.Introspect == nil && len(i.Secrets) == 0:
		return errors.New("no keys")
	case len(i.Secrets) > 0 && (i.Keys != nil || i.spiffe):
		return errors.New("secrets and keys exclude each other")
	case i.spiffe && i.Introspect != nil:
		return errors.New("a trust domain has no introspection")
	case len(i.Audience) == 0 && !i.InsecureAnyAudience:
		return errors.New("no audience: tokens for any other server would be accepted")
	case i.RevocationMaxAge < 0:
		return errors.New("the maximum age of revocations must not be negative")
	case slices.Contains(i.Audience, ""):
		return errors.New("an empty audience")
	case i.spiffe && !isTrustDomain(strings.TrimPrefix(i.Name, spiffeScheme)):
		return errTrustDomain
	}
	i.Audience = slices.Clone(i.Audience)
	var err error
	if i.Algorithms, i.shared, err = i.algorithms(); err != nil {
		return err
	}
	i.Types, i.RefuseClaims = slices.Clone(i.Types), slices.Clone(i.RefuseClaims)
	i.own, err = i.terms(i.Profile)
	return err
}

// algorithms returns those that are accepted, by the names of a KeySet, and the secrets.
func (i *TrustedIssuer) algorithms() ([]string, []sharedSecret, error) {
	if len(i.Secrets) > 0 {
		shared, names, err := newSharedSecrets(i.Secrets, i.Algorithms)
		return names, shared, err
	}
	names := slices.Clone(i.Algorithms)
	for n, name := range names {
		if _, err := findAlgorithm(name); err != nil {
			return nil, nil, fmt.Errorf("%q is %w; there are %s", name, err, strings.Join(algorithmNames(), ", "))
		}
		names[n] = CanonicalAlgorithm(name)
	}
	return names, nil, nil
}

// Verify returns the token that p presents if this server should honour it now. The error is always
// an *[Error].
func (v *Verifier) Verify(ctx context.Context, p Presentation) (*Token, error) {
	s := verifications.Get().(*verification)
	s.start(ctx, v, p)
	defer func() {
		*s = verification{}
		verifications.Put(s)
	}()
	s.recall()
	vouched := false // the issuer has said what the token says
	for i := range checks {
		if !s.applies(i) {
			continue
		}
		if !s.cached(checks[i].cached) {
			if err := checks[i].run(s); err != nil {
				if vouched {
					err.Token = s.issuer.reading(s.token)
				}
				return nil, err
			}
		}
		vouched = vouched || checks[i].cached == proven || s.opaque
	}
	s.remember()
	token := s.issuer.reading(s.token)
	if s.proof.Thumbprint != "" {
		if err := v.dpop.spend(ctx, s.proof); err != nil {
			err.Token = token
			return nil, err
		}
	}
	return token, nil
}

// Proofs returns the DPoP of the configuration; nil: no proofs are taken.
func (v *Verifier) Proofs() *DPoP { return v.dpop }

// Left returns how long a verified token is still good, leeway included, and the set that it may be
// revoked by; nil: there is none.
func (v *Verifier) Left(t *Token) (time.Duration, *Revocations) {
	left := time.Duration(math.MaxInt64)
	if !t.Expires.IsZero() {
		left = t.Expires.Add(v.leeway).Sub(v.now())
	}
	if issuer := v.issuers[t.Issuer]; issuer != nil {
		return left, issuer.Revocations
	}
	return left, nil
}
