package verify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// checks is what a token must pass, in this order. Before the signature is verified, nothing that
// the token says is trusted: iss selects the key set, and that is all.
//
// Checks of the bytes alone are not repeated for a token in the cache: parsing where the cache has
// the parsed token, and the signature. All others run on every request.
var checks = [...]struct {
	name   string
	needs  knowledge
	cached cachedPart
	of     form
	run    func(*verification) *Error
}{
	{name: "size", run: (*verification).checkSize},
	{name: "introspection", needs: theSize, of: opaque, run: (*verification).checkIntrospection},
	{name: "form", cached: parsed, of: jwt, needs: theSize, run: (*verification).checkForm},
	{name: "header", cached: parsed, of: jwt, needs: theForm, run: (*verification).checkHeader},
	{name: "claims", cached: parsed, of: jwt, needs: theForm | theHeader, run: (*verification).checkClaims},
	{name: "issuer", of: jwt, needs: theToken, run: (*verification).checkIssuer},
	{name: "type", of: jwt, needs: theToken | theIssuer, run: (*verification).checkType},
	{name: "profile", of: jwt, needs: theToken | theIssuer, run: (*verification).checkProfile},
	{name: "algorithm", of: jwt, needs: theToken | theIssuer, run: (*verification).checkAlgorithm},
	{name: "key", of: jwt, needs: theToken | theIssuer | theAlgorithm, run: (*verification).checkKey},
	{name: "signature", cached: proven, of: jwt, needs: theToken | theKey, run: (*verification).checkSignature},
	{name: "purpose", needs: theToken | theIssuer, run: (*verification).checkPurpose},
	{name: "expiry", needs: theToken, run: (*verification).checkExpiry},
	{name: "not before", needs: theToken, run: (*verification).checkNotBefore},
	{name: "issued at", needs: theToken, run: (*verification).checkIssuedAt},
	{name: "lifetime", needs: theToken, run: (*verification).checkLifetime},
	{name: "audience", needs: theToken | theIssuer, run: (*verification).checkAudience},
	{name: "confirmation", needs: theToken | theIssuer, run: (*verification).checkConfirmation},
	{name: "revocation", needs: theToken | theIssuer, run: (*verification).checkRevocation},
	{name: "authentication", needs: theToken, run: (*verification).checkAuthentication},
}

// form is the tokens that a check is for; the zero value: all.
type form uint8

const (
	jwt    form = iota + 1 // JWTs
	opaque                 // those that their issuer is asked about
)

// applies reports whether the check of that index is one for the token.
func (s *verification) applies(i int) bool {
	switch checks[i].of {
	case jwt:
		return !s.opaque
	case opaque:
		s.opaque = s.asks()
		return s.opaque
	}
	return true
}

// cachedPart is the part of a fact that makes a check unnecessary; the zero value: none does.
type cachedPart uint8

const (
	parsed cachedPart = iota + 1 // what the token says
	proven                       // that the key signed it
)

// cached reports whether the cache has that part of the token.
func (s *verification) cached(part cachedPart) bool {
	return part == parsed && s.parsed || part == proven && s.fact != nil
}

// knowledge is what earlier checks have established, and later ones need.
type knowledge uint8

const (
	theSize knowledge = 1 << iota
	theForm
	theHeader
	theToken
	theIssuer
	theAlgorithm
	theKey
)

var (
	errNarrowed    = errors.New("not among the algorithms of the issuer")
	errKeyReplaced = errors.New("another key now has the kid of the one that signed the token")
)

// verification is one run over the checks.
type verification struct {
	*Verifier
	ctx    context.Context
	jwt    string       // as presented
	shown  Presentation // with it
	now    time.Time
	known  knowledge
	parsed bool  // token is from the cache
	fact   *fact // from the cache, or nil; key is then the key that signed jwt
	opaque bool  // its issuer is asked about it

	parts     compact
	token     *Token
	issuer    *TrustedIssuer
	algorithm *algorithm
	key       crypto.PublicKey
	proof     Proof // that is to be spent; zero: there is none
}

// verifications are those of Verify that are over: the checks are called through a table, so that
// each would be on the heap.
var verifications = sync.Pool{New: func() any { return new(verification) }}

// start sets the zero value to a run over the checks.
func (s *verification) start(ctx context.Context, v *Verifier, p Presentation) {
	s.Verifier, s.ctx, s.jwt, s.shown, s.now = v, ctx, p.Token, p, v.now()
}

func (s *verification) checkSize() *Error {
	if len(s.jwt) > s.maxSize {
		refusal := invalid("the token is too long", nil)
		refusal.Option = "max_token_size"
		return refusal
	}
	s.known |= theSize
	return nil
}

// checkForm: RFC 7515 §7.1.
func (s *verification) checkForm() *Error {
	parts, err := parseCompact(s.jwt)
	if err != nil {
		return foreign(invalid("the token is not a signed JWT", err))
	}
	s.parts = parts
	s.known |= theForm
	return nil
}

// checkHeader: RFC 7515 §4.
func (s *verification) checkHeader() *Error {
	token := new(Token)
	if err := parseHeader(s.parts.header, token); err != nil {
		return invalid("the header of the token is not acceptable", err)
	}
	s.token = token
	s.known |= theHeader
	return nil
}

// checkClaims: RFC 7519 §4 and §7.2.
func (s *verification) checkClaims() *Error {
	if err := parseClaims(s.parts.payload, s.token); err != nil {
		return invalid("the claims of the token are not acceptable", err)
	}
	s.known |= theToken
	return nil
}

// checkIssuer: RFC 9068 §4, compared byte for byte. A JWT-SVID is of the trust domain of its sub
// (JWT-SVID §3.1).
func (s *verification) checkIssuer() *Error {
	claim, name, err := "iss", s.token.Issuer, error(nil)
	if s.spiffe {
		claim = "the trust domain of sub"
		name, err = domainOf(s.token.Subject)
	}
	if err != nil {
		return foreign(invalid("the token is not a JWT-SVID", err))
	}
	issuer := s.issuers[name]
	if issuer == nil {
		return foreign(invalid("the issuer of the token is not trusted here", another(claim, []string{name}, slices.Sorted(maps.Keys(s.issuers)))))
	}
	s.issuer = issuer
	s.known |= theIssuer
	return nil
}

// checkType: RFC 9068 §2.1, RFC 8725 §3.11.
func (s *verification) checkType() *Error {
	if !slices.Contains(s.issuer.own.types, s.token.Header.Type) {
		return s.remediable(invalid("the token is not an access token", nil))
	}
	return nil
}

// checkProfile: RFC 9068 §2.2, as far as the profile of the issuer follows it.
func (s *verification) checkProfile() *Error {
	for kind := range leniencies {
		reason := s.token.deviations[kind]
		switch {
		case reason == nil || s.issuer.own.permits[kind]:
		case kind == headerKeys:
			return s.remediable(invalid("the header of the token is not acceptable", reason))
		default:
			return s.remediable(invalid("the claims of the token are not acceptable", reason))
		}
	}
	return nil
}

// remediable adds the options that would have let the token in.
func (s *verification) remediable(e *Error) *Error {
	e.Option = s.issuer.remedy(s.token)
	return e
}

// checkAlgorithm: RFC 8725 §3.1 and §3.2.
func (s *verification) checkAlgorithm() *Error {
	if name := s.token.Header.Algorithm; s.issuer.shared != nil {
		if !slices.Contains(s.issuer.Algorithms, name) {
			return invalid("the algorithm of the token is not accepted", errNarrowed)
		}
		s.known |= theAlgorithm
		return nil
	}
	algorithm, err := findAlgorithm(s.token.Header.Algorithm)
	if err == nil && len(s.issuer.Algorithms) > 0 && !slices.Contains(s.issuer.Algorithms, algorithm.name) {
		err = errNarrowed
	}
	if err != nil {
		refusal := invalid("the algorithm of the token is not accepted", err)
		if errors.Is(err, errNarrowed) {
			refusal.Option = "algorithms " + algorithm.name
		}
		return refusal
	}
	s.algorithm, s.known = algorithm, s.known|theAlgorithm
	return nil
}

// checkKey: the key set decides which key is for which algorithm. It is asked for a cached token
// too, whose key may have been withdrawn.
func (s *verification) checkKey() *Error {
	header := &s.token.Header
	if s.issuer.shared != nil {
		return s.useSecret()
	}
	if header.KeyID == "" && !s.issuer.AllowMissingKeyID {
		refusal := invalid("the token names no key", nil)
		refusal.Option = "allow_missing_kid"
		return refusal
	}
	key, err := findKey(s.ctx, s.issuer.Keys, header.KeyID, s.algorithm, s.spiffe)
	if errors.Is(err, ErrUnknownKey) {
		return invalid("the key of the token is not known", err)
	}
	if err != nil {
		return unavailable(err)
	}
	return s.useKey(key)
}

// useKey takes the key for the signature, which is that of the cached token if there is one.
func (s *verification) useKey(key crypto.PublicKey) *Error {
	if s.fact != nil && !sameKey(s.fact.key, key) {
		return invalid("the key of the token is not known", errKeyReplaced)
	}
	s.key = key
	s.known |= theKey
	return nil
}

// checkSignature: RFC 7515 §5.2.
func (s *verification) checkSignature() *Error {
	var err error
	if s.issuer.shared == nil {
		err = s.algorithm.verify(s.key, s.parts.input, s.parts.signature)
	} else if secret := signedBy(s.issuer.shared, s.token.Header.Algorithm, s.parts.input, s.parts.signature); secret != nil {
		s.key = secret
	} else {
		err = errSignature
	}
	if err != nil {
		return invalid("the signature of the token is not good", err)
	}
	return nil
}

// checkPurpose refuses what the same issuer signs for another purpose (RFC 8725 §2.8): ID tokens,
// logout tokens and other security event tokens. None of these has typ at+jwt; the check matters
// where other types are accepted.
func (s *verification) checkPurpose() *Error {
	if p := s.issuer.own.refuses(s.token); p != nil {
		return s.remediable(invalid("the token is not an access token", fmt.Errorf("it has the claim %s", p)))
	}
	if p := s.issuer.own.lacks(s.token); p != nil {
		refusal := invalid("the token lacks a claim that is required here", fmt.Errorf("it is %s", p))
		refusal.Option = "require_claims without " + p.String()
		return refusal
	}
	return nil
}

// checkAudience: RFC 9068 §4.
func (s *verification) checkAudience() *Error {
	if s.issuer.InsecureAnyAudience {
		return nil
	}
	if claim := s.issuer.AudienceClaim; claim != "" && claim != "aud" {
		if name, ok := s.token.Claims[claim].(string); ok {
			return s.requireAudience(claim, name)
		}
		return s.requireAudience(claim)
	}
	refusal := s.requireAudience("aud", s.token.Audience...)
	if refusal != nil && s.token.Audience == nil && slices.Contains(s.issuer.Audience, s.token.ClientID) {
		refusal.Option = "audience_claim client_id"
	}
	return refusal
}

// requireAudience compares byte by byte (RFC 7519 §2).
func (s *verification) requireAudience(claim string, names ...string) *Error {
	if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(s.issuer.Audience, name) }) {
		return nil
	}
	return invalid("the token is for another audience", another(claim, names, s.issuer.Audience))
}

// checkRevocation: RFC 7009 §2.2; a revocation takes effect at once, for cached tokens too. A token
// that does not say plainly what it came of could come of anything that was revoked.
func (s *verification) checkRevocation() *Error {
	if s.issuer.Revocations != nil && s.token.lineage != nil {
		return invalid("the claims of the token are not acceptable", s.token.lineage)
	}
	if s.issuer.Revocations.Revoked(s.token) {
		return invalid("the token has been revoked", nil)
	}
	if err := s.checkAncestorKeys(); err != nil {
		return err
	}
	if s.issuer.Revocations.stale(s.now, s.issuer.RevocationMaxAge) {
		return unavailable(ErrStale)
	}
	return nil
}
