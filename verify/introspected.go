package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// SignedIntrospection is what the signed answer of an introspection endpoint must satisfy (RFC 9701
// §5).
type SignedIntrospection struct {
	Issuer   string // iss must equal it, byte for byte
	Audience string // aud must be it alone: the client_id by which the endpoint knows who asks

	Keys       KeySet   // of the issuer
	Algorithms []string // that are accepted (RFC 7518 §3.1); empty: all that the keys are for

	// MaxAge is how long ago, or how far ahead by another clock, the answer may have been made.
	MaxAge time.Duration

	Now time.Time
}

// Reasons to refuse a signed answer (RFC 9701 §5).
var (
	errAnswerType     = errors.New("typ of the answer is not token-introspection+jwt")
	errAnswerIssuer   = errors.New("iss of the answer is another")
	errAnswerAudience = errors.New("aud of the answer is not this client alone")
	errAnswerAge      = errors.New("iat of the answer is missing, or is not now")
	errAnswerMember   = errors.New("the answer has no token_introspection that is an object")
)

// answerType is the typ of such an answer.
const answerType = "token-introspection+jwt"

// Open returns the members of token_introspection in a signed answer that satisfies the rules. What
// the issuer has signed as something else than an answer vouches for no token: the error wraps
// ErrBadToken (RFC 8725 §3.11). Any other one says nothing of the token that was asked about.
func (s SignedIntrospection) Open(ctx context.Context, jwt string) (map[string]any, error) {
	parts, err := parseCompact(jwt)
	if err != nil {
		return nil, err
	}
	answer := new(Token)
	if err := parseHeader(parts.header, answer); err != nil {
		return nil, err
	}
	claims, err := parseObject(parts.payload)
	if err != nil {
		return nil, err
	}
	if err := s.check(answer, claims); err != nil {
		return nil, err
	}
	algorithm, err := findAlgorithm(answer.Header.Algorithm)
	if err == nil && len(s.Algorithms) > 0 && !slices.ContainsFunc(s.Algorithms, func(name string) bool { return CanonicalAlgorithm(name) == algorithm.name }) {
		err = errNarrowed
	}
	if err != nil {
		return nil, fmt.Errorf("alg %.40q: %w", answer.Header.Algorithm, err)
	}
	key, err := findKey(ctx, s.Keys, answer.Header.KeyID, algorithm, false)
	if err != nil {
		return nil, err
	}
	if err := algorithm.verify(key, parts.input, parts.signature); err != nil {
		return nil, err
	}
	if answer.Header.Type != answerType {
		return nil, fmt.Errorf("%w: %w: it is %.40q", ErrBadToken, errAnswerType, answer.Header.Type)
	}
	said, ok := claims["token_introspection"].(map[string]any)
	if !ok {
		return nil, errAnswerMember
	}
	return said, nil
}

// check returns what is wrong with an answer but for its signature and its typ.
func (s SignedIntrospection) check(answer *Token, claims map[string]any) error {
	audience, err := parseAudience(claims["aud"])
	switch {
	case answer.deviations[headerKeys] != nil:
		return answer.deviations[headerKeys]
	case claims["iss"] != s.Issuer:
		return errAnswerIssuer
	case err != nil || len(audience) != 1 || audience[0] != s.Audience:
		return errAnswerAudience
	}
	var dates Token
	if err := parseDates(map[string]any{"iat": claims["iat"]}, &dates); err != nil {
		return err
	}
	if dates.IssuedAt.IsZero() || s.Now.Sub(dates.IssuedAt).Abs() > s.MaxAge {
		return errAnswerAge
	}
	return nil
}
