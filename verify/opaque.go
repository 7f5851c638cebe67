package verify

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrBadToken is the error of [TrustedIssuer].Introspect for a token that is not good.
var ErrBadToken = errors.New("the token is not good")

// NewToken returns what a token says about which its issuer was asked (RFC 7662 §2.2): the members
// of the answer, which are of the types that [Token].Claims has. Without iss it is of that issuer,
// and exp may be missing, as may be all others. One that is null counts as missing.
func NewToken(issuer string, members map[string]any) (*Token, error) {
	claims := make(map[string]any, len(members)+1)
	for name, value := range members {
		if value != nil {
			claims[name] = value
		}
	}
	if _, present := claims["iss"]; !present {
		claims["iss"] = issuer
	}
	t := new(Token)
	if err := readClaims(claims, t); err != nil {
		return nil, err
	}
	return t, nil
}

// UnverifiedIssuer returns the iss of what has the form of a JWT, however badly it is written; ""
// if there is none. It says to whom a token may be shown, and nothing else: anybody can write it.
func UnverifiedIssuer(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) < 3 {
		return ""
	}
	text := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(parts[1], "="))
	payload, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber() // one that no float64 can hold hides nobody
	if decoder.Decode(&claims) != nil {
		return ""
	}
	name, _ := claims["iss"].(string)
	return name
}

// asks reports whether the issuer of the token is asked about it: there is one that can be, and the
// token is no JWT of an issuer whose keys are known.
func (s *verification) asks() bool {
	if s.asked == nil {
		return false
	}
	issuer := s.issuers[UnverifiedIssuer(s.jwt)]
	return issuer == nil || issuer.Keys == nil && issuer.shared == nil
}

// checkIntrospection: RFC 7662 §2.2. A server that does not know a token, and one that is away,
// differ: the latter is 503.
func (s *verification) checkIntrospection() *Error {
	token, err := s.asked.Introspect(s.ctx, s.jwt)
	switch {
	case errors.Is(err, ErrBadToken):
		return invalid("the token is not active", err)
	case err != nil:
		return unavailable(err)
	case token.Issuer != s.asked.Name: // RFC 7662 §2.2
		return invalid("the issuer of the token is not trusted here", fmt.Errorf("the answer has iss %.200q", token.Issuer))
	}
	s.token, s.issuer = token, s.asked
	s.known |= theToken | theIssuer
	return nil
}

// Introspector asks an issuer about one of its tokens; see [NewToken]. The error is, or wraps,
// ErrBadToken if the token is not good; any other one means that nobody knows, and leads to 503. It
// is called on each request, and must remember for a while what was said.
type Introspector func(ctx context.Context, token string) (*Token, error)
