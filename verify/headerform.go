package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// HeaderForm is how a claim is written to a header. No two claims give the same value in one form,
// but for those that [HeaderClaim] names.
type HeaderForm string

const (
	// ListForm writes strings as they are, and a separator between the elements of an array. What
	// is not printable ASCII, has a space at either end, or has the separator is unfit: upstreams
	// disagree on the encoding of anything else (RFC 9110 §5.5), and some that read bytes as
	// Latin-1 take 0x85 for the end of a line. So is an empty element, and whatever is neither
	// string, boolean nor number.
	ListForm HeaderForm = ""

	// RepeatForm writes a line for each element of an array. The same is unfit as in ListForm, and
	// so is a comma: whoever passes the request on may join the lines (RFC 9110 §5.3).
	RepeatForm HeaderForm = "repeat"

	// PercentForm writes the UTF-8 of a string as the value-chars of RFC 8187 §3.2.1: letters,
	// digits and !#$&+-.^_`|~ as they are, and each other byte as %XX. There is no charset before
	// it, so that the usual functions for URLs decode it. Commas stand between elements.
	PercentForm HeaderForm = "percent"

	// Base64Form writes the UTF-8 of a string in Base 64 with padding (RFC 4648 §4). Commas stand
	// between elements.
	Base64Form HeaderForm = "base64"

	// JSONForm writes any claim that is there as JSON (RFC 8259) in one line: the members of
	// objects in the order of their names, and what is not ASCII as \uXXXX.
	JSONForm HeaderForm = "json"
)

// headerForms are the forms but ListForm, which has no name.
var headerForms = []HeaderForm{RepeatForm, PercentForm, Base64Form, JSONForm}

func (f HeaderForm) check() error {
	if f != ListForm && !slices.Contains(headerForms, f) {
		return fmt.Errorf("%q is no form of a claim; there are repeat, percent, base64 and json", string(f))
	}
	return nil
}

// appendLines appends the lines of the header to lines: none, or one, but for RepeatForm. They have
// no more than maxHeaderValue bytes together.
func (c *HeaderClaim) appendLines(lines []string, claim any) ([]string, error) {
	if c.Form == JSONForm {
		text, err := jsonValue(claim)
		if err != nil || len(text) > maxHeaderValue {
			return nil, errUnfit
		}
		return append(lines, text), nil
	}
	list, ok := claim.([]any)
	if !ok {
		value, err := c.element(claim)
		if err != nil {
			return nil, err
		}
		if value != "" {
			lines = append(lines, value)
		}
		return lines, nil
	}
	start, size := len(lines), 0
	for _, element := range list {
		value, err := c.element(element)
		if err != nil {
			return nil, err
		}
		if size += len(value) + 1; size > maxHeaderValue+1 || element == nil || value == "" && c.plain() {
			return nil, errUnfit
		}
		lines = append(lines, value)
	}
	if c.Form == RepeatForm {
		return lines, nil
	}
	separator := ","
	if c.Separator != "" {
		separator = c.Separator
	}
	if joined := strings.Join(lines[start:], separator); joined != "" {
		return append(lines[:start], joined), nil
	}
	return lines[:start], nil
}

// plain reports whether strings are written as they are.
func (c *HeaderClaim) plain() bool { return c.Form == ListForm || c.Form == RepeatForm }

// element returns the text of a scalar; "" for null.
func (c *HeaderClaim) element(claim any) (value string, err error) {
	switch claim := claim.(type) {
	case nil:
		return "", nil
	case string:
		value = claim
	case json.Number:
		value = claim.String()
	case bool:
		value = strconv.FormatBool(claim)
	default:
		return "", errUnfit
	}
	switch c.Form {
	case PercentForm:
		value = percentEncode(value)
	case Base64Form:
		value = base64.StdEncoding.EncodeToString([]byte(value))
	default:
		return value, c.fits(value)
	}
	if len(value) > maxHeaderValue {
		return "", errUnfit
	}
	return value, nil
}

// fits returns what is wrong with a string that is written as it is.
func (c *HeaderClaim) fits(value string) error {
	separator := byte(',')
	if c.Separator != "" {
		separator = c.Separator[0]
	}
	if !isHeaderValue(value) || strings.IndexByte(value, separator) >= 0 {
		return errUnfit
	}
	return nil
}

// endsLine reports whether a claim has a carriage return, a line feed or a NUL.
func endsLine(claim any) bool {
	switch claim := claim.(type) {
	case string:
		return strings.ContainsAny(claim, "\r\n\x00")
	case []any:
		return slices.ContainsFunc(claim, endsLine)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(claim)), endsLine)
	}
	return false
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

// percentEncode writes value-chars (RFC 8187 §3.2.1).
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; foldByte(c) != 0 || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// jsonValue returns the JSON of a claim in printable ASCII.
func jsonValue(claim any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claim); err != nil {
		return "", err
	}
	b := make([]byte, 0, text.Len())
	for _, c := range strings.TrimSuffix(text.String(), "\n") {
		switch {
		case c < 0x7f:
			b = append(b, byte(c))
		case c < 1<<16:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			high, low := utf16.EncodeRune(c)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		}
	}
	return string(b), nil
}
