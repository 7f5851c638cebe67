package verify

import (
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

// Error is why a request is refused. All but Cause and Token is fit for the client.
type Error struct {
	Status      int           // 400, 401, 403 or 503
	Code        string        // RFC 6750 §3.1; empty when the request had no token at all, and for a 503
	Description string        // a constant of this source: what a client sends never comes back in it
	Scope       Scope         // what would be needed, with InsufficientScope
	RetryAfter  time.Duration // with a 503
	Cause       error         // for the log only
	Token       *Token        // for the log only: the good token that did not suffice, if it came to that
}

func (e *Error) Error() string {
	text := e.Code
	if text == "" {
		text = strings.ToLower(http.StatusText(e.Status))
	}
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// Challenge is the value of WWW-Authenticate that goes with e (RFC 6750 §3).
func (e *Error) Challenge(realm string) string {
	var b strings.Builder
	b.WriteString("Bearer")
	separator := " "
	attribute := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(separator + name + `="`)
		writeQuoted(&b, value)
		b.WriteByte('"')
		separator = ", "
	}
	attribute("realm", realm)
	attribute("error", e.Code)
	attribute("error_description", e.Description)
	attribute("scope", e.Scope.String())
	return b.String()
}

// writeQuoted writes the inside of a quoted-string (RFC 9110 §5.6.4). What
// could end the header line, or is not ASCII, becomes a question mark.
func writeQuoted(b *strings.Builder, s string) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
}

// invalid is the answer to a token that is not good: 401 invalid_token.
func invalid(description string, cause error) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: InvalidToken, Description: description, Cause: cause}
}

// unavailable is the answer when nobody can tell whether the token is good.
// A 401 would make the client throw it away.
func unavailable(cause error) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Description: "the token cannot be checked at the moment",
		RetryAfter: 5 * time.Second, Cause: cause}
}
