package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// maxHeaderValue is the longest claim, in bytes, that is put into a header.
const maxHeaderValue = 4 << 10

// HeaderClaim names a claim that is handed to what stands behind the guard as a request header.
//
// A string goes in as it is, a boolean as true or false, a number as it is spelled in the token, and an array of those
// joined with commas. A claim that is absent, null, the empty string or the empty array leaves the header absent.
//
// A claim that a header can't carry without doubt is never changed to fit: its token is refused with 401
// invalid_token. That is an object, a value longer than 4 KiB, with a space at either end, with any byte outside
// printable ASCII, and an array that holds one of those, an array, null, an empty string, or a string with a comma.
// Non-ASCII is refused because upstreams don't agree on its encoding (RFC 9110 §5.5), and some, reading bytes as
// Latin-1, take 0x85 for the end of a line. Name claims that identify, such as sub, rather than claims to be shown.
type HeaderClaim struct {
	// Header is the name of the request header. It must not be one that frames the message or belongs to the
	// connection, nor Authorization.
	Header string

	// Claim is the name of the claim, or a path into nested objects with dots: "realm_access.roles". A member whose
	// whole name is the path wins, then the one with the longest name: dots in names such as
	// "https://example.com/roles" do no harm.
	Claim string
}

// Claim looks up a member of the token by name, or by a path with dots as told at [HeaderClaim].
func (t *Token) Claim(path string) (value any, ok bool) {
	return member(t.Claims, path)
}

func member(object map[string]any, path string) (any, bool) {
	if value, ok := object[path]; ok {
		return value, true
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		inner, ok := object[path[:i]].(map[string]any)
		if !ok {
			continue
		}
		if value, ok := member(inner, path[i+1:]); ok {
			return value, true
		}
	}
	return nil, false
}

// errUnfit is the cause of refusing a token for a claim that no header can carry.
var errUnfit = errors.New("the value can't be carried in a header")

// headerValue gives the header form of a claim; "" stands for no header.
func headerValue(claim any) (string, error) {
	list, ok := claim.([]any)
	if !ok {
		return scalarValue(claim)
	}
	values := make([]string, len(list))
	for i, element := range list {
		value, err := scalarValue(element)
		if err != nil {
			return "", err
		}
		if value == "" || strings.Contains(value, ",") {
			return "", errUnfit
		}
		values[i] = value
	}
	joined := strings.Join(values, ",")
	if len(joined) > maxHeaderValue {
		return "", errUnfit
	}
	return joined, nil
}

func scalarValue(claim any) (string, error) {
	var value string
	switch claim := claim.(type) {
	case nil:
		return "", nil
	case string:
		value = claim
	case json.Number:
		value = claim.String()
	case bool:
		if claim {
			return "true", nil
		}
		return "false", nil
	default:
		return "", errUnfit
	}
	if !isHeaderValue(value) {
		return "", errUnfit
	}
	return value, nil
}

// isHeaderValue accepts printable ASCII without a space at either end, of at most maxHeaderValue bytes.
func isHeaderValue(s string) bool {
	if len(s) > maxHeaderValue || strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// setClaims sets each header of claims once, or none of them at all.
func setClaims(h http.Header, claims []HeaderClaim, t *Token) error {
	if len(claims) == 0 {
		return nil
	}
	values := make([]string, len(claims)) // one allocation for the values of all headers
	for i, c := range claims {
		claim, ok := t.Claim(c.Claim)
		if !ok {
			continue
		}
		value, err := headerValue(claim)
		if err != nil {
			return &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
				Description: "a claim of the token can not be used here",
				Cause:       fmt.Errorf("claim %q for header %s: %w", c.Claim, c.Header, err)}
		}
		values[i] = value
	}
	for i, c := range claims {
		if values[i] != "" {
			h[c.Header] = values[i : i+1 : i+1]
		}
	}
	return nil
}
