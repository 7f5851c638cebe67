package oauthserver

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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

const addressMember = "address."

// addressMembers are those of OpenID Connect Core §5.1.1.
var addressMembers = []string{"formatted", "street_address", "locality", "region", "postal_code", "country"}

// claim returns the claim of the library that it is of, or is a member of.
func (c UserClaim) claim() (name, scope string) {
	name, scope = c.Name, c.Scope
	if strings.HasPrefix(name, addressMember) {
		name = "address"
	}
	if scope == "" {
		scope = tokenep.ClaimScope(name)
	}
	return name, scope
}

// claims returns the claims, and the scope-token of each.
func (u *UserAttributes) claims() tokenep.UserClaims {
	if u == nil {
		return nil
	}
	claims := make(tokenep.UserClaims)
	for _, c := range u.Claims {
		name, scope := c.claim()
		claims[name] = scope
	}
	return claims
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
	for i, c := range u.Claims {
		name, scope := c.claim()
		member, isMember := strings.CutPrefix(c.Name, addressMember)
		switch err := checkProven(c.Value, insecure); {
		case err != nil:
			return fmt.Errorf("identity: claim %s %s: %w", c.Name, c.Value, err)
		case c.Name == "address", isMember && !slices.Contains(addressMembers, member):
			return fmt.Errorf("identity: claim %s: the address has members, such as address.locality; there are %s", c.Name, strings.Join(addressMembers, ", "))
		case slices.ContainsFunc(u.Claims[:i], func(other UserClaim) bool { return other.Name == c.Name }):
			return fmt.Errorf("identity: claim %s is given twice", c.Name)
		case scope == "":
			return fmt.Errorf("identity: claim %s: no standard says which scope asks for it; write the scope-token behind the placeholder", c.Name)
		}
		for _, other := range u.Claims[:i] {
			if otherName, otherScope := other.claim(); otherName == name && otherScope != scope {
				return fmt.Errorf("identity: claim %s: the members of %s must have one scope-token", c.Name, name)
			}
		}
	}
	if err := u.claims().Validate(); err != nil {
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
	if at, ok := seconds(from.lookUp(u.AuthTime)); ok && at > 0 && at <= now.Add(tolerance).Unix() {
		user.SignIn.Time = time.Unix(at, 0).UTC()
	}
	user.SignIn.Class, _ = from.lookUp(u.ACR).(string)
	switch methods := from.lookUp(u.AMR).(type) {
	case string:
		user.SignIn.Methods = strings.Fields(methods)
	case []string:
		if size(methods) <= maxText { // it is in every token
			user.SignIn.Methods = methods
		}
	}
	for _, c := range u.Claims {
		value, ok := c.value(from.lookUp(c.Value))
		if !ok {
			continue
		}
		if user.Claims == nil {
			user.Claims = make(map[string]any)
		}
		member, isMember := strings.CutPrefix(c.Name, addressMember)
		if !isMember {
			user.Claims[c.Name] = value
			continue
		}
		address, _ := user.Claims["address"].(map[string]any)
		if address == nil {
			address = make(map[string]any)
			user.Claims["address"] = address
		}
		address[member] = value
	}
}

// What one value may have, in bytes.
const (
	maxText = 1024
	maxList = 8 << 10 // all its texts together
)

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
	switch value := value.(type) {
	case bool, int, int64, float64:
		return value
	case string:
		if fits(value) {
			return value
		}
	case []string:
		if len(value) > 0 && size(value) <= maxList && !slices.ContainsFunc(value, func(text string) bool { return !fits(text) }) {
			return value
		}
	case []any:
		return s.list(value)
	case fmt.Stringer: // such as the subject of a certificate
		if v := reflect.ValueOf(value); v.Kind() != reflect.Pointer || !v.IsNil() {
			if text := value.String(); fits(text) {
				return text
			}
		}
	}
	return nil
}

// list returns a list of texts; nil: one of them is no text, or does not fit.
func (s source) list(values []any) any {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i], _ = value.(string)
		if !fits(texts[i]) {
			return nil
		}
	}
	if len(texts) == 0 || size(texts) > maxList {
		return nil
	}
	return texts
}

func fits(text string) bool { return text != "" && len(text) <= maxText && utf8.ValidString(text) }

// size returns the length of all texts together, with what JSON adds to each.
func size(texts []string) (n int) {
	for _, text := range texts {
		n += len(text) + len(`"",`)
	}
	return n
}

// value returns a value in the type that the claim has (OpenID Connect Core §5.1).
func (c UserClaim) value(value any) (any, bool) {
	name, _ := c.claim()
	switch {
	case value == nil:
		return nil, false
	case c.Name == "updated_at":
		return seconds(value)
	case c.Name == "email_verified", c.Name == "phone_number_verified":
		if text, ok := value.(string); ok {
			is, err := strconv.ParseBool(text)
			return is, err == nil
		}
		is, ok := value.(bool)
		return is, ok
	case tokenep.ClaimScope(name) == "": // no standard says what it is
		return value, true
	}
	switch value := value.(type) {
	case string:
		return value, true
	case int, int64, float64:
		return fmt.Sprint(value), true
	}
	return nil, false
}

// seconds reads a time, in seconds since 1970 or as in RFC 3339.
func seconds(value any) (int64, bool) {
	switch value := value.(type) {
	case int:
		return int64(value), true
	case int64:
		return value, true
	case float64:
		return int64(value), math.Abs(value) < 1<<53
	case string:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n, true
		}
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			return at.Unix(), true
		}
	}
	return 0, false
}
