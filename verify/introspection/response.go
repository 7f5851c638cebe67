package introspection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// errActive is of an answer that says nothing of the token: the other server is not as it is
// configured here.
var errActive = errors.New("active is neither true nor false")

// judge says what the token says, or that it is not good (RFC 7662 §2.2).
func (s *Server) judge(ctx context.Context, a *outbound.Answer) (*verify.Token, error) {
	members, err := s.read(ctx, a)
	if err != nil {
		return nil, err
	}
	switch active, ok := members["active"].(bool); {
	case !ok:
		return nil, errActive
	case !active:
		return nil, fmt.Errorf("%w: its server answers that it is not active", verify.ErrBadToken)
	}
	if iss := members["iss"]; s.o.Issuer != "" && iss != nil && iss != s.o.Issuer {
		return nil, fmt.Errorf("%w: iss is another issuer", verify.ErrBadToken)
	}
	t, err := verify.NewToken(s.Name(), members)
	if err != nil {
		return nil, err
	}
	t.Issuer = s.Name()
	return t, accepts(t)
}

// signedType is the media type of a signed answer (RFC 9701 §5).
const signedType = "application/token-introspection+jwt"

// maxAge is how long ago a signed answer may have been made. None is used twice: this bounds what
// it is worth to whoever can put an old one in the place of a new one.
const maxAge = time.Minute

// read returns the members of an answer. Where answers are signed, one that is not means nothing.
func (s *Server) read(ctx context.Context, a *outbound.Answer) (map[string]any, error) {
	if s.o.SignedBy == nil {
		return a.JSON(http.StatusOK)
	}
	text, err := a.Text(signedType)
	if err != nil {
		return nil, err
	}
	return verify.SignedIntrospection{
		Issuer: s.o.Issuer, Audience: s.o.ClientID, Keys: s.o.SignedBy, Algorithms: s.o.Algorithms,
		MaxAge: maxAge, Now: s.o.Answers.Now(),
	}.Open(ctx, text)
}

// others are the values of some members by which servers mark what is no access token: they answer
// for refresh tokens, too (RFC 7662 §2.1). token_use is that of Hydra and Cognito, typ that of
// Keycloak.
var others = map[string][]string{
	"token_use": {"refresh_token", "refresh", "id_token", "id"},
	"typ":       {"Refresh", "Offline", "ID", "Logout"},
}

// accepts returns why an active token is none that a client may present.
func accepts(t *verify.Token) error {
	kind, present := t.Claims["token_type"]
	text, _ := kind.(string)
	bound, err := verify.ParseConfirmation(t.Claims["cnf"])
	byProof := err == nil && bound.KeyThumbprint != "" && strings.EqualFold(text, "DPoP")
	if present && !strings.EqualFold(text, "Bearer") && !byProof {
		return fmt.Errorf("%w: token_type is not Bearer, or DPoP with a jkt in cnf", verify.ErrBadToken)
	}
	for name, values := range others {
		for _, value := range values {
			if t.Claims[name] == value {
				return fmt.Errorf("%w: it has the member %s=%s, so it is no access token", verify.ErrBadToken, name, value)
			}
		}
	}
	return nil
}
