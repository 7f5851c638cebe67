package verify

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Error codes of RFC 6750 §3.1.
const (
	InvalidRequest    = "invalid_request"    // 400
	InvalidToken      = "invalid_token"      // 401
	InsufficientScope = "insufficient_scope" // 403
)

// Error codes of RFC 9449 §7.1 and §9.
const (
	InvalidDPoPProof = "invalid_dpop_proof" // 401
	UseDPoPNonce     = "use_dpop_nonce"     // 401; the header DPoP-Nonce has one
)

// InsufficientUserAuthentication is the error code of RFC 9470 §3: the person has signed in too
// long ago, or not in a way that is enough here.
const InsufficientUserAuthentication = "insufficient_user_authentication" // 401

// AccessDenied is an error code of our own, of a token that is good, but not for this request: from
// this address (see [Limit]), or by a rule that no scope would satisfy.
const AccessDenied = "access_denied" // 403

// Error is why a request is refused. The client may see all of it but Cause, Option and Token.
type Error struct {
	Status      int    // 400, 401, 403, 413, 429 or 503; 500 for a mistake on this side
	Code        string // RFC 6750 §3.1, RFC 9449 §7.1; empty with 500, 503 and no token
	Description string // a constant of the source: nothing that the client sent is in it
	Scope       Scope  // what the client should ask for, with 400, 401 and 403

	// Parameters go into each challenge after error, error_description and scope.
	Parameters []Parameter

	// Challenges are complete, and written as they are. The [Guard] fills them in with 400, 401 and
	// 403 where they are nil: one for each scheme by which it takes tokens.
	Challenges []Challenge

	// Option is for the log: which options of the [TrustedIssuer] or the [Guard] would have let the
	// request in, in the words of a Caddyfile. Empty if none would.
	Option string

	RetryAfter time.Duration // with 429 and 503
	Cause      error         // for the log
	Token      *Token        // for the log: the token, if its issuer has signed it

	// Limit is that of the token which the request was refused for, with 403 and 429; or nil.
	Limit *Limit

	// Foreign says that the token is none of a trusted issuer: it is no JWT, or has another iss. It
	// may be good elsewhere.
	Foreign bool
}

func (e *Error) Error() string {
	text := e.Code
	if text == "" {
		text = strings.ToLower(http.StatusText(e.Status))
	}
	if reason := e.Reason(); reason != "" {
		text += ": " + reason
	}
	return text
}

// Reason returns the description and the cause, in one line. It is for the log, and for people who
// may see the token.
func (e *Error) Reason() string {
	switch {
	case e.Cause == nil:
		return e.Description
	case e.Description == "":
		return OneLine(e.Cause.Error())
	}
	return e.Description + ": " + OneLine(e.Cause.Error())
}

// Body returns what the body of an answer says: error and error_description, as RFC 6749 §5.2 has
// them, and scope. All of it is in the challenges too, if there are some: an error code is missing
// where the request had no token (RFC 6750 §3.1).
func (e *Error) Body() any {
	description := cmp.Or(e.Description, http.StatusText(e.Status))
	if e.Status == http.StatusUnauthorized && e.Code == "" {
		description = "no access token was sent"
	}
	return struct {
		Code        string `json:"error,omitempty"`
		Description string `json:"error_description,omitempty"`
		Scope       Scope  `json:"scope,omitzero"`
	}{e.Code, description, e.Scope}
}

// OneLine returns a text for a line of a log: several errors in one, and those of a database, have
// several lines.
func OneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	var b strings.Builder
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		line = strings.TrimSpace(line)
		switch said := b.String(); {
		case line == "" || said == "":
		case strings.HasSuffix(said, ":"):
			b.WriteByte(' ')
		default:
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Cause }

// invalid is the refusal of a token that is not good: 401 invalid_token.
func invalid(description string, cause error) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: InvalidToken, Description: description, Cause: cause}
}

// unavailable is the refusal when it is unknown whether the token is good. A 401 would make the
// client throw the token away.
func unavailable(cause error) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Description: "the token cannot be checked at the moment",
		RetryAfter: 5 * time.Second, Cause: cause}
}

// foreign marks the refusal of a token that is none of a trusted issuer.
func foreign(e *Error) *Error {
	e.Foreign = true
	return e
}

// another tells the log what a claim is that is compared byte by byte: mostly a slash or a port is
// too many, on one of the two sides.
func another(claim string, is, expected []string) error {
	return fmt.Errorf("%s is %s, expected %s", claim, quoteSome(is), quoteSome(expected))
}

// quoteSome returns names for a line of the log: quoted, since a token may say anything, and no
// more than fits into one.
func quoteSome(names []string) string {
	const most = 4
	var quoted []string
	for _, name := range names[:min(most, len(names))] {
		quoted = append(quoted, fmt.Sprintf("%.100q", name))
	}
	switch {
	case len(names) == 0:
		return "absent"
	case len(names) > most:
		quoted = append(quoted, fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(quoted, ", ")
}
