package tokenep

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Code is an OAuth error code. It is a constant of the protocol and an error in itself:
// errors.Is(err, tokenep.InvalidGrant) asks for the code, whatever the description.
type Code string

// The error codes of RFC 6749 §5.2.
const (
	InvalidRequest       Code = "invalid_request"        // malformed, or missing or repeated
	InvalidClient        Code = "invalid_client"         // client authentication failed
	InvalidGrant         Code = "invalid_grant"          // a bad code, refresh token or user
	UnauthorizedClient   Code = "unauthorized_client"    // the client may not use this grant
	UnsupportedGrantType Code = "unsupported_grant_type" // the server has no such grant
	InvalidScope         Code = "invalid_scope"          // unknown, malformed, or too much
)

// The error codes of extensions.
const (
	InvalidTarget        Code = "invalid_target"         // RFC 8707 §2: no token for this resource
	UnsupportedTokenType Code = "unsupported_token_type" // RFC 7009 §2.2.1

	// What a device is told (RFC 8628 §3.5), beside access_denied.
	AuthorizationPending Code = "authorization_pending"
	SlowDown             Code = "slow_down"
	ExpiredToken         Code = "expired_token"

	// Of the authorization endpoint: RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6.
	AccessDenied             Code = "access_denied"
	UnsupportedResponseType  Code = "unsupported_response_type"
	LoginRequired            Code = "login_required"
	ConsentRequired          Code = "consent_required"
	AccountSelectionRequired Code = "account_selection_required"
	RequestNotSupported      Code = "request_not_supported"
	RequestURINotSupported   Code = "request_uri_not_supported"

	// Of the registration endpoint: RFC 7591 §3.2.2, and RFC 6750 §3.1 for its tokens.
	InvalidRedirectURI          Code = "invalid_redirect_uri"
	InvalidClientMetadata       Code = "invalid_client_metadata"
	InvalidSoftwareStatement    Code = "invalid_software_statement"
	UnapprovedSoftwareStatement Code = "unapproved_software_statement"
	InvalidToken                Code = "invalid_token" // status 401

	InvalidDPoPProof Code = "invalid_dpop_proof" // RFC 9449 §5
	UseDPoPNonce     Code = "use_dpop_nonce"     // RFC 9449 §8; the header DPoP-Nonce has one

	InsufficientAuthentication Code = "insufficient_user_authentication" // RFC 9470 §3, status 401

	// RFC 6749 §4.1.2.1 defines these two for redirects; here they go with a status of their own.
	ServerError            Code = "server_error"            // status 500
	TemporarilyUnavailable Code = "temporarily_unavailable" // status 429 or 503
)

// Error makes a Code an error.
func (c Code) Error() string { return string(c) }

// Describe returns an Error of this code. Developers of clients read the description. It must be a
// constant of the source, with no more added than names of the configuration, within the characters
// of RFC 6749 §5.2: ASCII without quote and backslash.
func (c Code) Describe(description string) *Error {
	return &Error{Code: c, Description: description, Status: c.status()}
}

func (c Code) status() int {
	switch c {
	case InvalidClient, InvalidToken, InsufficientAuthentication:
		return http.StatusUnauthorized
	case TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	case ServerError:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// Error is a refusal: code, description and status are for the client, the cause is for the log
// alone.
type Error struct {
	Code        Code
	Description string        // constant text for the developer of the client; may be empty
	Status      int           // HTTP status
	RetryAfter  time.Duration // Retry-After, rounded up to whole seconds; zero: no such header
	Challenge   string        // WWW-Authenticate; empty: that of client authentication, if any
	Cause       error         // for the log alone
}

// Error returns the text for the log, in one line: code, description and cause.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Cause != nil {
		s += ": " + verify.OneLine(e.Cause.Error())
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is the code of e.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Because returns e with the cause set.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// retryLater is the Retry-After of an answer when a part of the server is away.
const retryLater = 5 * time.Second

// AsError turns any error into the refusal that the client sees. An *Error or a Code in the chain
// is used as it is. A store that is away or too slow, or a record that others keep changing, is 503
// with Retry-After, so that no client throws away credentials that are still good. Everything else
// is 500 server_error.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if c, ok := errors.AsType[Code](err); ok {
		return c.Describe("").Because(err)
	}
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		e := TemporarilyUnavailable.Describe("the server cannot reach its state; try again").Because(err)
		e.RetryAfter = retryLater
		return e
	}
	return ServerError.Describe("").Because(err)
}

// AsUnavailable returns the 503 for a token that could not be verified because keys or state were
// away, or nil when err is anything else.
func AsUnavailable(err error) error {
	refused, ok := errors.AsType[*verify.Error](err)
	if !ok || refused.Status != http.StatusServiceUnavailable {
		return nil
	}
	e := TemporarilyUnavailable.Describe("the token cannot be verified at the moment; try again").Because(err)
	e.RetryAfter = refused.RetryAfter
	return e
}
