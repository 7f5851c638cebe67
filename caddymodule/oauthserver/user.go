package oauthserver

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// UserAttributes are placeholders for what is known of a user beside the name. The same rules hold
// for them as for identity, and after insecure_identity they may be of headers as well.
type UserAttributes struct {
	// When the user signed in: seconds since 1970, or a time as in RFC 3339. It is auth_time in
	// tokens, and what max_age is held against. Default: nobody knows, and max_age is answered with
	// login_required.
	AuthTime string `json:"auth_time,omitempty"`

	// How well the user has proved who it is (OpenID Connect Core §2: acr). Default: not said.
	ACR string `json:"acr,omitempty"`

	// By which methods, separated by spaces (RFC 8176): amr. Default: not said.
	AMR string `json:"amr,omitempty"`

	// Claims that the userinfo endpoint tells (OpenID Connect Core §5.1). Nothing is told that is
	// not here. Default: none.
	Claims []UserClaim `json:"claims,omitempty"`
}

// UserClaim is one claim of users.
type UserClaim struct {
	// Its name, such as email. The members of address are written address.locality and so on.
	// Required.
	Name string `json:"name"`

	// The placeholder of its value. A user without a value has no such claim; nor has one whose
	// value is longer than 1024 bytes, a list longer than 8192, or which does not fit the claim:
	// email_verified is true or false, updated_at a number of seconds or a time as in RFC 3339, and
	// all others of OpenID Connect Core §5.1 are texts. Required.
	Value string `json:"value"`

	// The scope-token with which a client is told it. Default: profile, email, address or phone for
	// the claims of OpenID Connect Core §5.1; required for others.
	Scope string `json:"scope,omitempty"`
}

// claims returns the claims, and the scope-token of each.
func (u *UserAttributes) claims() tokenep.UserClaims {
	if u == nil {
		return nil
	}
	return u.sources().Claims()
}

// sources returns the claims as the library has them.
func (u *UserAttributes) sources() tokenep.ClaimSources {
	sources := make(tokenep.ClaimSources, len(u.Claims))
	for i, c := range u.Claims {
		sources[i] = tokenep.ClaimSource{Name: c.Name, From: c.Value, Scope: c.Scope}
	}
	return sources
}

// signIn returns which claims say how the user signed in.
func (u *UserAttributes) signIn() (claims []string) {
	if u == nil {
		return nil
	}
	for _, c := range []struct{ name, placeholder string }{{"auth_time", u.AuthTime}, {"acr", u.ACR}, {"amr", u.AMR}} {
		if c.placeholder != "" {
			claims = append(claims, c.name)
		}
	}
	return claims
}

// checkUser returns what is wrong with the attributes.
func (s *AuthorizationServer) checkUser() error {
	u := s.User
	if u == nil {
		return nil
	}
	_, insecure := s.identity()
	for _, o := range []struct{ option, placeholder string }{{"auth_time", u.AuthTime}, {"acr", u.ACR}, {"amr", u.AMR}} {
		if o.placeholder == "" {
			continue
		}
		if err := checkProven(o.placeholder, insecure); err != nil {
			return fmt.Errorf("identity: %s %s: %w", o.option, o.placeholder, err)
		}
	}
	for _, c := range u.Claims {
		if err := checkProven(c.Value, insecure); err != nil {
			return fmt.Errorf("identity: claim %s %s: %w", c.Name, c.Value, err)
		}
	}
	if err := u.sources().Validate(); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	return nil
}

// read adds what the placeholders of a request say to user.
func (u *UserAttributes) read(from source, user *tokenep.User, now time.Time) {
	if u == nil {
		return
	}
	const tolerance = time.Minute // the clock of whoever signs people in may be ahead
	if at, ok := tokenep.ReadSeconds(from.lookUp(u.AuthTime)); ok && at > 0 && at <= now.Add(tolerance).Unix() {
		user.SignIn.Time = time.Unix(at, 0).UTC()
	}
	user.SignIn.Class, _ = from.lookUp(u.ACR).(string)
	switch methods := from.lookUp(u.AMR).(type) {
	case string:
		user.SignIn.Methods = strings.Fields(methods)
	case []string:
		if len(strings.Join(methods, `","`))+len(`""`) <= maxMethods { // it is in every token
			user.SignIn.Methods = methods
		}
	}
	user.Claims = u.sources().Read(from.lookUp)
}

// maxMethods bounds what every token has of amr, in bytes.
const maxMethods = 1024

// source is where the placeholders of a request come from.
type source struct {
	replacer *caddy.Replacer
	verified bool // the client certificate
}

// lookUp returns what one placeholder stands for: a string, a bool, a number or a list of strings;
// nil: nothing that is of use. Nothing is believed of a certificate that was not verified.
func (s source) lookUp(placeholder string) any {
	name := strings.Trim(placeholder, "{}")
	if name == "" || strings.HasPrefix(name, certificate) && !s.verified {
		return nil
	}
	value, _ := s.replacer.Get(name)
	if text, ok := value.(fmt.Stringer); ok { // such as the subject of a certificate
		if v := reflect.ValueOf(text); v.Kind() == reflect.Pointer && v.IsNil() {
			return nil
		}
		value = text.String()
	}
	return tokenep.ClaimValue(value)
}
