package oauthserver

import (
	"fmt"
	"math"
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
	// value is longer than 1024 bytes, or does not fit the claim: email_verified is true or false,
	// updated_at a number of seconds or a time as in RFC 3339. Required.
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
func (u *UserAttributes) read(replacer *caddy.Replacer, user *tokenep.User, now time.Time) {
	if u == nil {
		return
	}
	const tolerance = time.Minute // the clock of whoever signs people in may be ahead
	if at, ok := seconds(lookUp(replacer, u.AuthTime)); ok && at > 0 && at <= now.Add(tolerance).Unix() {
		user.SignIn.Time = time.Unix(at, 0).UTC()
	}
	user.SignIn.Class, _ = lookUp(replacer, u.ACR).(string)
	switch methods := lookUp(replacer, u.AMR).(type) {
	case string:
		user.SignIn.Methods = strings.Fields(methods)
	case []string:
		user.SignIn.Methods = methods
	}
	for _, c := range u.Claims {
		value, ok := c.value(lookUp(replacer, c.Value))
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

// lookUp returns what one placeholder stands for: a string, a bool, a number or a list of strings;
// nil: nothing that is of use.
func lookUp(replacer *caddy.Replacer, placeholder string) any {
	const most = 1024 // bytes
	if placeholder == "" {
		return nil
	}
	value, known := replacer.Get(strings.Trim(placeholder, "{}"))
	if !known {
		return nil
	}
	fits := func(text string) bool { return text != "" && len(text) <= most && utf8.ValidString(text) }
	switch value := value.(type) {
	case bool, int, int64, float64:
		return value
	case []string:
		if len(value) > 0 && !slices.ContainsFunc(value, func(text string) bool { return !fits(text) }) {
			return value
		}
	default:
		if text := caddy.ToString(value); fits(text) {
			return text
		}
	}
	return nil
}

// value returns a value in the type that the claim has (OpenID Connect Core §5.1).
func (c UserClaim) value(value any) (any, bool) {
	switch {
	case value == nil:
		return nil, false
	case c.Name == "updated_at":
		return seconds(value)
	case strings.HasSuffix(c.Name, "_verified"):
		if text, ok := value.(string); ok {
			is, err := strconv.ParseBool(text)
			return is, err == nil
		}
		is, ok := value.(bool)
		return is, ok
	}
	return value, true
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
