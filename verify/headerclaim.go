package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// maxHeaderValue is the length in bytes of the longest value that is put into a header.
const maxHeaderValue = 4 << 10

// HeaderClaim passes a claim on to the upstream as a request header.
//
// A string is passed on as it is, a boolean as true or false, a number as the token spells it, and
// an array of these joined with commas. A claim that is absent, null, the empty string or the empty
// array leaves the header absent.
//
// A value that a header cannot carry unambiguously is never changed to fit. The token is refused
// with 401 invalid_token if the value
//
//   - is an object,
//   - is longer than 4 KiB,
//   - has a space at either end, or a byte outside printable ASCII,
//   - is an array with such an element, or with an array, null, an empty string, or a string with a
//     comma.
//
// Non-ASCII is refused because upstreams disagree on its encoding (RFC 9110 §5.5), and because some
// that read bytes as Latin-1 take 0x85 for the end of a line. Use claims that identify, such as
// sub, rather than claims that are displayed.
type HeaderClaim struct {
	// Header is the name of the request header. It must not be Authorization, nor a header that
	// frames the message or belongs to the connection.
	Header string

	// Claim is the name of the claim, or a path into nested objects with dots:
	// "realm_access.roles". A member whose name is the whole path is preferred, then the one with
	// the longest name, so a name may contain dots: "https://example.com/roles".
	Claim string
}

// Claim returns a member of the token by its name, or by a path as in [HeaderClaim].
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

// errUnfit is the cause of a refusal because of a claim that no header can carry.
var errUnfit = errors.New("the value cannot be sent in a header")

// HeaderValue returns the value of the header for a claim as [HeaderClaim] describes it; "" stands
// for no header.
func HeaderValue(claim any) (string, error) {
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

// isHeaderValue reports whether s is printable ASCII without a space at either end, and not longer
// than maxHeaderValue.
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

// setClaims sets the headers of all claims, or none of them.
func setClaims(h http.Header, claims []HeaderClaim, t *Token) error {
	if len(claims) == 0 {
		return nil
	}
	values := make([]string, len(claims)) // the headers share one allocation
	for i, c := range claims {
		claim, ok := t.Claim(c.Claim)
		if !ok {
			continue
		}
		value, err := HeaderValue(claim)
		if err != nil {
			return &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
				Description: "a claim of the token cannot be used here",
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
