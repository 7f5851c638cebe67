package tokenep

import (
	"net/http"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Dialect is how one path of an endpoint differs from the RFCs, for the sake of clients that were
// written for another server. The zero value differs in nothing.
type Dialect struct {
	JSON              bool   // bodies may also be a JSON object, with the same members
	SubjectTokenType  string // what an exchange without subject_token_type means
	SubjectTokenError Code   // for a bad subject token; empty: invalid_request (RFC 8693 §2.2.2)

	// Ignore are parameters that are accepted and mean nothing here. Where scope is one, answers do
	// not name it either.
	Ignore []string

	// DefaultScope is what a client gets that asks for no scope by client credentials, as far as it
	// may have it; empty: its default scope.
	DefaultScope verify.Scope

	// Renew lets a client exchange an access token that was issued to it, without an actor, for one
	// that says the same and expires later. RenewExpired is how long ago the token may have expired
	// if the client authenticates by credentials of its own.
	Renew        bool
	RenewExpired time.Duration

	// BearerClient lets a client without other credentials authenticate, for token exchange alone,
	// by an access token of its own in the Authorization header that is also the subject token or
	// the actor token.
	BearerClient bool

	// BasicErrors says that clients know no other error codes than the six of RFC 6749 §5.2: in
	// place of another one they get invalid_request.
	BasicErrors bool

	// InvalidClientStatus is the status of invalid_client; 0: 401.
	InvalidClientStatus int
}

// basicErrors are the codes of RFC 6749 §5.2.
var basicErrors = []Code{InvalidRequest, InvalidClient, InvalidGrant, UnauthorizedClient, UnsupportedGrantType, InvalidScope}

// refusal returns an error as this dialect has it. What is no error of the protocol, such as a 503,
// stays as it is.
func (d *Dialect) refusal(err error) error {
	e := AsError(err)
	switch {
	case e.Status == http.StatusBadRequest && d.BasicErrors && !slices.Contains(basicErrors, e.Code):
		return InvalidRequest.Describe(e.Description).Because(err)
	case e.Code == InvalidClient && d.InvalidClientStatus != 0:
		changed := *e
		changed.Status = d.InvalidClientStatus
		return &changed
	}
	return err
}
