package verify

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// maxHeaderValue is the length in bytes of the longest value that is put into a header.
const maxHeaderValue = 4 << 10

// HeaderClaim passes a claim on to the upstream as a request header.
//
// The value is made by Form, and never changed to fit: where the form cannot carry the claim, the
// token is refused with 401 invalid_token. Claims that differ give values that differ, and a string
// with a carriage return, a line feed or a NUL is refused by each form that does not encode it. All
// forms but [JSONForm] write a boolean and a number as the token spells them, like the string of
// the same characters, and a scalar like an array of one. For them a claim that is absent, null,
// the empty string or the empty array leaves the header absent.
type HeaderClaim struct {
	// Header is the name of the request header. It must not be Authorization, nor a header that
	// frames the message or belongs to the connection.
	Header string

	// Claim says where the claim is.
	Claim ClaimPath

	// Form is how the value is written. Default: ListForm.
	Form HeaderForm

	// Separator stands between the elements of an array in ListForm: one printable character of
	// ASCII that is neither a letter nor a digit. No element may have it. Default: a comma.
	Separator string

	// OmitUnfit leaves the header absent, instead of refusing the token, where the form cannot
	// carry the claim. A carriage return, a line feed and a NUL are refused nevertheless.
	OmitUnfit bool
}

func (c *HeaderClaim) check() error {
	if err := c.Claim.check(); err != nil {
		return fmt.Errorf("the header %s: %w", c.Header, errUnfit)
	}
	if err := c.Form.check(); err != nil {
		return fmt.Errorf("the header %s: %w", c.Header, err)
	}
	switch s := c.Separator; {
	case s == "":
	case c.Form != ListForm:
		return fmt.Errorf("the header %s: the form %s has no separator", c.Header, c.Form)
	case len(s) != 1 || s[0] < ' ' || s[0] > '~' || foldByte(s[0]) != 0:
		return fmt.Errorf("the header %s: the separator %q is not one printable character of ASCII, neither letter nor digit",
			c.Header, s)
	}
	return nil
}

// errUnfit is the cause of a refusal because of a claim that the form of its header cannot carry.
var errUnfit = errors.New("the value cannot be sent in a header")

// refuse returns the refusal of an unfit claim, or nil if the header is left out instead.
func (c *HeaderClaim) refuse(claim any) error {
	if c.OmitUnfit && !(c.plain() && endsLine(claim)) {
		return nil
	}
	return &Error{Status: http.StatusUnauthorized, Code: InvalidToken,
		Description: "a claim of the token cannot be used here",
		Cause:       fmt.Errorf("claim %q for header %s: %w", c.Claim.String(), c.Header, errUnfit),
		Option:      "header " + c.Header + " " + c.Claim.String() + " percent"}
}

// setClaims sets the headers of all claims, or none of them.
func setClaims(h http.Header, claims []HeaderClaim, t *Token) error {
	if len(claims) == 0 {
		return nil
	}
	lines := make([]string, 0, len(claims)) // the headers share one allocation
	for i := range claims {
		c, start := &claims[i], len(lines)
		claim, ok := t.Claim(c.Claim...)
		if !ok {
			continue
		}
		extended, err := c.appendLines(lines, claim)
		if err == nil {
			lines = extended
		} else if err = c.refuse(claim); err != nil {
			unset(h, claims[:i])
			return err
		}
		if len(lines) > start {
			h[c.Header] = lines[start:len(lines):len(lines)]
		}
	}
	return nil
}

// unset removes the headers of claims.
func unset(h http.Header, claims []HeaderClaim) {
	for i := range claims {
		delete(h, claims[i].Header)
	}
}

// HeaderValue returns the value of the header for a claim in [ListForm]; "" stands for no header.
func HeaderValue(claim any) (string, error) {
	lines, err := (&HeaderClaim{}).appendLines(nil, claim)
	return strings.Join(lines, ""), err
}
