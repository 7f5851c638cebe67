package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Config describes a Verifier. What is left out is strict.
type Config struct {
	// Issuers are the authorization servers whose tokens are good here; at least one.
	Issuers []TrustedIssuer

	// Cache remembers proven tokens; nil for none. It may be shared by any
	// number of verifiers: what it holds is true for all of them.
	Cache *Cache

	// Leeway is how far the clocks of issuer and verifier may be apart, for
	// exp, nbf and iat. 30 s is a good value; more than MaxLeeway is refused.
	Leeway time.Duration

	// MaxTokenSize is the length in bytes above which a token is not looked
	// at; 0 stands for 8192. Less than 256 is refused.
	MaxTokenSize int

	// Now is the clock; nil for time.Now.
	Now func() time.Time
}

// TrustedIssuer is an authorization server whose tokens are good here, and what is required of them.
type TrustedIssuer struct {
	// Name is the issuer identifier: iss must be the same bytes (RFC 8414 §2).
	Name string

	// Keys has the issuer's public keys.
	Keys KeySet

	// Audience names this resource server: one of these must be in aud (RFC
	// 9068 §4). InsecureAnyAudience drops the check, and lets in tokens that
	// were made for somebody else.
	Audience            []string
	InsecureAnyAudience bool

	// Algorithms narrows what a key may be bound to; empty: no narrower.
	Algorithms []string

	// Types are the values of typ that are taken; empty: at+jwt alone. For an
	// issuer that does not follow RFC 9068 it may be "JWT", or "" for a token
	// without typ. Such an issuer's ID tokens may then pass for access tokens:
	// give this server an audience that no client id equals.
	Types []string

	// AllowMissingKeyID takes a token without kid, if the issuer has one key only.
	AllowMissingKeyID bool

	// Revocations lists what is no longer good before it expires; nil for none.
	Revocations *Revocations

	// RevocationMaxAge is for how long Revocations may go without being followed;
	// after that every token is answered with 503, since nobody can tell whether
	// it has been revoked. Zero: for ever.
	RevocationMaxAge time.Duration
}

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*TrustedIssuer
	cache   *Cache
	leeway  time.Duration
	maxSize int
	now     func() time.Time
}

// MaxLeeway is the most that Config.Leeway can be. A token may be taken for that
// long after its expiry, so keys and revocations are kept for longer by as much.
const MaxLeeway = 5 * time.Minute

const defaultTokenSize = 8192

// minTokenSize is less than any token has, with the claims that RFC 9068 §2.2 wants and a signature.
const minTokenSize = 256

// New gives a Verifier for c, or says what is wrong with it.
func New(c Config) (*Verifier, error) {
	if len(c.Issuers) == 0 {
		return nil, errors.New("verify: no issuer")
	}
	if c.Leeway < 0 || c.Leeway > MaxLeeway {
		return nil, fmt.Errorf("verify: leeway %s is not between 0 and %s", c.Leeway, MaxLeeway)
	}
	if c.MaxTokenSize != 0 && c.MaxTokenSize < minTokenSize {
		return nil, fmt.Errorf("verify: no token fits into %d bytes; the greatest token size is %d at least", c.MaxTokenSize, minTokenSize)
	}
	v := &Verifier{issuers: make(map[string]*TrustedIssuer, len(c.Issuers)), cache: c.Cache, leeway: c.Leeway,
		maxSize: c.MaxTokenSize, now: c.Now}
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
		if err := issuer.normalize(); err != nil {
			return nil, fmt.Errorf("verify: issuer %q: %w", issuer.Name, err)
		}
		v.issuers[issuer.Name] = &issuer
	}
	return v, nil
}

// normalize validates i and brings its lists to the form that tokens are
// compared in, on copies of its own.
func (i *TrustedIssuer) normalize() error {
	switch {
	case i.Name == "":
		return errors.New("no name")
	case i.Keys == nil:
		return errors.New("no keys")
	case len(i.Audience) == 0 && !i.InsecureAnyAudience:
		return errors.New("no audience: a token for any other server would do")
	case i.RevocationMaxAge < 0:
		return errors.New("the greatest age of revocations is negative")
	case slices.Contains(i.Audience, ""):
		return errors.New("an empty audience")
	}
	i.Audience = slices.Clone(i.Audience)
	i.Algorithms = slices.Clone(i.Algorithms)
	for n, name := range i.Algorithms {
		if _, err := findAlgorithm(name); err != nil {
			return fmt.Errorf("%q is %w; there are %s", name, err, strings.Join(algorithmNames(), ", "))
		}
		i.Algorithms[n] = canonicalAlgorithm(name)
	}
	i.Types = slices.Clone(i.Types)
	for n, typ := range i.Types {
		i.Types[n] = mediaType(typ)
	}
	if len(i.Types) == 0 {
		i.Types = []string{"at+jwt"}
	}
	return nil
}

// Verify returns the token that p presents if this server should honour it now. The error is
// always an *[Error].
func (v *Verifier) Verify(ctx context.Context, p Presentation) (*Token, error) {
	s := v.verification(ctx, p)
	s.recall()
	for i := range checks {
		if s.spared(checks[i].once) {
			continue
		}
		if err := checks[i].run(&s); err != nil {
			return nil, err
		}
	}
	s.remember()
	return s.token, nil
}

// Check is the outcome of one check.
type Check struct {
	Name    string
	Err     error // nil when passed; else an *Error
	Skipped bool  // an earlier failure leaves nothing to check
}

// Inspect runs the checks of Verify without stopping at the first that fails, and without the
// cache. The token is what its bytes say, nil when they cannot be read: trust none of it unless
// every check passed.
func (v *Verifier) Inspect(ctx context.Context, p Presentation) (*Token, []Check) {
	s := v.verification(ctx, p)
	report := make([]Check, len(checks))
	for i, c := range checks {
		report[i] = Check{Name: c.name, Skipped: s.known&c.needs != c.needs}
		if report[i].Skipped {
			continue
		}
		if err := c.run(&s); err != nil {
			report[i].Err = err
		}
	}
	return s.token, report
}
