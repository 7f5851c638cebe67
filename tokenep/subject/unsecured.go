package subject

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Unsecured is the JWTs that nobody has signed (RFC 7519 §6), with which a client says for whom it
// asks: some clients of Iceberg's REST catalog do. It is for the clients that are set to be
// believed (tokenep.Client.InsecureUnsecuredSubject), and only beside an actor token, so that the
// new token says who has asked.
type Unsecured struct{ Now func() time.Time }

// UnsecuredIssuer is the Authorization.Issuer of such a token, whatever its iss says.
const UnsecuredIssuer = "unsecured"

// Types returns those of a JWT.
func (Unsecured) Types() []string { return []string{grant.JWTType, IDTokenType} }

// maxUnsecured bounds such a token, in bytes.
const maxUnsecured = 8 << 10

var errSigned = errors.New("it is no unsecured JWT")

// Validate reads sub, and exp and nbf if they are there. The new token has at most the scope of the
// client.
func (u Unsecured) Validate(_ context.Context, r *tokenep.Request, token string) (*tokenep.Authorization, error) {
	invalid := func(cause error) *tokenep.Error {
		return tokenep.InvalidRequest.Describe("the token is not valid").Because(cause)
	}
	payload, ok := strings.CutSuffix(token, ".")
	header, payload, found := strings.Cut(payload, ".")
	if !ok || !found || strings.Contains(payload, ".") {
		return nil, tokenep.OtherKind(invalid(errSigned))
	}
	switch {
	case r.Client == nil || !r.Client.InsecureUnsecuredSubject:
		return nil, invalid(errors.New("the client may not bring JWTs that nobody has signed"))
	case len(token) > maxUnsecured:
		return nil, invalid(fmt.Errorf("it has more than %d bytes", maxUnsecured))
	case !r.Form.Has("actor_token") || token == r.Form.Get("actor_token"):
		return nil, invalid(errors.New("a JWT that nobody has signed is a subject token, beside an actor token"))
	}
	var head struct {
		Algorithm string `json:"alg"`
		Critical  any    `json:"crit"`
	}
	if err := decode(header, &head); err != nil || head.Algorithm != "none" || head.Critical != nil {
		return nil, invalid(errors.Join(errSigned, err))
	}
	claims := map[string]any{}
	if err := decode(payload, &claims); err != nil {
		return nil, invalid(err)
	}
	a, err := u.authorize(r, &verify.Token{Claims: claims})
	if err != nil {
		return nil, invalid(err)
	}
	return a, nil
}

// authorize returns what the claims amount to.
func (u Unsecured) authorize(r *tokenep.Request, t *verify.Token) (*tokenep.Authorization, error) {
	a := &tokenep.Authorization{Issuer: UnsecuredIssuer, Scope: r.Client.Scope, Audience: r.Client.Audience}
	a.Subject, _ = t.Claims["sub"].(string)
	if _, bound := t.Claims["cnf"]; bound || a.Subject == "" {
		return nil, errors.New("sub is missing or no string, or there is a cnf")
	}
	if err := state.CheckSubject(a.Subject); err != nil {
		return nil, err
	}
	if _, present := t.Claims["exp"]; present {
		seconds, ok := number(t.Claims["exp"])
		if a.NotAfter = time.Unix(seconds, 0); !ok || !u.Now().Before(a.NotAfter) {
			return nil, errors.New("exp is no NumericDate, or has passed")
		}
	}
	if _, present := t.Claims["nbf"]; present {
		if seconds, ok := number(t.Claims["nbf"]); !ok || u.Now().Before(time.Unix(seconds, 0)) {
			return nil, errors.New("nbf is no NumericDate, or has not come")
		}
	}
	for _, claim := range []string{"act", "may_act"} { // nobody vouches for what others do
		if t.Claims[claim] != nil {
			return nil, errors.New("a JWT that nobody has signed does not say who acts or may act")
		}
	}
	return a, nil
}

// number returns a NumericDate in whole seconds.
func number(value any) (int64, bool) {
	text, _ := value.(json.Number)
	float, err := text.Float64()
	return int64(float), err == nil && float >= 0 && float < 1e11
}

// decode reads one part of a JWT: base64url of a JSON object, and nothing behind it.
func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("there is more behind the JSON")
	}
	return nil
}
