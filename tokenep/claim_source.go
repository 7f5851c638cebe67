package tokenep

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ClaimSource is one claim of users, and where it comes from.
type ClaimSource struct {
	// The name of the claim, such as email. The members of address are written address.locality and
	// so on. Required.
	Name string `json:"name"`

	// Which attribute or member of what is known of a user has the value. A user without a value
	// has no such claim; nor has one whose value is longer than 1024 bytes, a list longer than
	// 8192, or which does not fit the claim: email_verified is true or false, updated_at a number
	// of seconds or a time as in RFC 3339, and all others of OpenID Connect Core §5.1 are texts.
	// Required.
	From string `json:"from"`

	// The scope-token with which a client is told it. Default: profile, email, address or phone for
	// the claims of OpenID Connect Core §5.1; required for others.
	Scope string `json:"scope,omitempty"`
}

// ClaimSources are the claims of users that a server tells, and where they come from. Nothing is
// told of a user that is not among them.
type ClaimSources []ClaimSource

const addressMember = "address."

// addressMembers are those of OpenID Connect Core §5.1.1.
var addressMembers = []string{"formatted", "street_address", "locality", "region", "postal_code", "country"}

// claim returns the claim that it is of, or is a member of.
func (c ClaimSource) claim() (name, scope string) {
	name, scope = c.Name, c.Scope
	if strings.HasPrefix(name, addressMember) {
		name = "address"
	}
	if scope == "" {
		scope = ClaimScope(name)
	}
	return name, scope
}

// Claims returns the claims, and the scope-token of each.
func (s ClaimSources) Claims() UserClaims {
	if len(s) == 0 {
		return nil
	}
	claims := make(UserClaims)
	for _, c := range s {
		name, scope := c.claim()
		claims[name] = scope
	}
	return claims
}

// Validate returns what is wrong with the claims.
func (s ClaimSources) Validate() error {
	for i, c := range s {
		name, scope := c.claim()
		member, isMember := strings.CutPrefix(c.Name, addressMember)
		switch {
		case c.Name == "address", isMember && !slices.Contains(addressMembers, member):
			return fmt.Errorf("claim %s: the address has members, such as address.locality; there are %s", c.Name, strings.Join(addressMembers, ", "))
		case c.From == "":
			return fmt.Errorf("claim %s: nothing says where its value comes from", c.Name)
		case slices.ContainsFunc(s[:i], func(other ClaimSource) bool { return other.Name == c.Name }):
			return fmt.Errorf("claim %s is given twice", c.Name)
		case scope == "":
			return fmt.Errorf("claim %s: no standard says which scope asks for it; write the scope-token at the end of the line", c.Name)
		}
		for _, other := range s[:i] {
			if otherName, otherScope := other.claim(); otherName == name && otherScope != scope {
				return fmt.Errorf("claim %s: the members of %s must have one scope-token", c.Name, name)
			}
		}
	}
	return s.Claims().Validate()
}

// Read returns the claims of one user; nil: there are none. lookUp returns what is known by the
// name in From: a string, a bool, a number or a list of strings; nil: nothing.
func (s ClaimSources) Read(lookUp func(from string) any) map[string]any {
	var claims map[string]any
	for _, c := range s {
		value, ok := c.value(ClaimValue(lookUp(c.From)))
		if !ok {
			continue
		}
		if claims == nil {
			claims = make(map[string]any)
		}
		member, isMember := strings.CutPrefix(c.Name, addressMember)
		if !isMember {
			claims[c.Name] = value
			continue
		}
		address, _ := claims["address"].(map[string]any)
		if address == nil {
			address = make(map[string]any)
			claims["address"] = address
		}
		address[member] = value
	}
	return claims
}

// What one value may have, in bytes.
const (
	maxClaimText = 1024
	maxClaimList = 8 << 10 // all its texts together
)

// ClaimValue returns a value if it is of a type that a claim can have, and no longer than it may
// be; else nil. A list has texts alone.
func ClaimValue(value any) any {
	switch value := value.(type) {
	case bool, int, int64, float64:
		return value
	case string:
		if fitsClaim(value) {
			return value
		}
	case []string:
		if len(value) > 0 && listSize(value) <= maxClaimList && !slices.ContainsFunc(value, func(text string) bool { return !fitsClaim(text) }) {
			return value
		}
	case []any:
		texts := make([]string, len(value))
		for i := range value {
			texts[i], _ = value[i].(string)
		}
		return ClaimValue(texts)
	}
	return nil
}

func fitsClaim(text string) bool {
	return text != "" && len(text) <= maxClaimText && utf8.ValidString(text)
}

// listSize returns the length of all texts together, with what JSON adds to each.
func listSize(texts []string) (n int) {
	for _, text := range texts {
		n += len(text) + len(`"",`)
	}
	return n
}

// value returns a value in the type that the claim has (OpenID Connect Core §5.1).
func (c ClaimSource) value(value any) (any, bool) {
	name, _ := c.claim()
	switch {
	case value == nil:
		return nil, false
	case c.Name == "updated_at":
		return ReadSeconds(value)
	case c.Name == "email_verified", c.Name == "phone_number_verified":
		if text, ok := value.(string); ok {
			is, err := strconv.ParseBool(text)
			return is, err == nil
		}
		is, ok := value.(bool)
		return is, ok
	case ClaimScope(name) == "": // no standard says what it is
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

// ReadSeconds reads a time, in seconds since 1970 or as in RFC 3339.
func ReadSeconds(value any) (int64, bool) {
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
