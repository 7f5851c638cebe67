package state

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

const kindPushed = "pushed_request" // id: the SHA-256 of its reference

const (
	// DefaultPushedLife is how long a pushed request can be opened: RFC 9126 §2.2 advises 5 to 600
	// seconds.
	DefaultPushedLife = 90 * time.Second

	// PushedTail is how long after that one that was opened in time can be spent: the user reads,
	// and may have to sign in.
	PushedTail = time.Hour
)

// AuthorizationRequest is what a client asks a user for (RFC 6749 §4.1.1), when it was found good.
type AuthorizationRequest struct {
	ClientID        string       `json:"client_id"`
	RegistrationID  string       `json:"registration_id,omitempty"` // of the client
	RedirectURI     string       `json:"redirect_uri"`
	RedirectImplied bool         `json:"redirect_implied,omitempty"` // it named none
	State           string       `json:"state,omitempty"`
	Mode            string       `json:"response_mode,omitempty"`
	Scope           verify.Scope `json:"scope,omitempty"`
	Audience        []string     `json:"aud,omitempty"`                   // RFC 8707 §2
	Challenge       string       `json:"code_challenge,omitempty"`        // RFC 7636 §4.3
	ChallengeMethod string       `json:"code_challenge_method,omitempty"` // with a Challenge

	KeyThumbprint string `json:"jkt,omitempty"` // dpop_jkt (RFC 9449 §10)

	// How the user is asked (OpenID Connect Core §3.1.2.1); MaxAge in seconds, nil: any.
	Nonce   string   `json:"nonce,omitempty"`
	Prompt  []string `json:"prompt,omitempty"`
	MaxAge  *int64   `json:"max_age,omitempty"`
	Classes []string `json:"acr_values,omitempty"`
	Hint    string   `json:"hint,omitempty"` // the sub of an id_token_hint; empty: there was none

	LoginHint string `json:"login_hint,omitempty"`
	Locales   string `json:"ui_locales,omitempty"` // of one that was pushed
}

// PushedRequest is an authorization request that a client has pushed (RFC 9126 §2). All times are
// whole milliseconds, in UTC.
type PushedRequest struct {
	AuthorizationRequest
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"`  // it cannot be opened any more
	Spent   time.Time `json:"spent_at,omitzero"` // when a code was given; zero: none was
}

// PushedRequests keeps authorization requests that were pushed, under references that nobody can
// guess (RFC 9126 §7.1). Each is good for one code (§7.3), but can be opened more than once: people
// load a page again (§4).
type PushedRequests struct {
	Store store.Store
	Life  time.Duration    // from Push until it cannot be opened; 0: DefaultPushedLife
	Now   func() time.Time // the clock
}

// Push keeps a request and returns its reference.
func (s PushedRequests) Push(ctx context.Context, r AuthorizationRequest) (reference string, made PushedRequest, err error) {
	now := moment(s.Now)
	made = PushedRequest{AuthorizationRequest: r, Created: now, Expires: now.Add(orDefault(s.Life, DefaultPushedLife))}
	reference = GenerateSecret()
	err = record.Insert(ctx, s.Store, kindPushed, record.HashID(reference), made, made.Expires.Add(PushedTail))
	return reference, made, err
}

// Open returns a request that was pushed to be opened by this client, and changes nothing. An error
// that Is ErrRefused says why there is none: ErrUnknown, also for that of another client,
// ErrExpired or ErrSpent.
func (s PushedRequests) Open(ctx context.Context, reference, clientID string) (AuthorizationRequest, error) {
	if !isBase62(reference, secretLength) {
		return AuthorizationRequest{}, fmt.Errorf("%w reference to a pushed request", ErrMalformed)
	}
	stored, err := record.Load[PushedRequest](ctx, s.Store, kindPushed, record.HashID(reference))
	if err != nil {
		return AuthorizationRequest{}, unknown(kindPushed, err)
	}
	r := stored.Value
	switch {
	case r.ClientID != clientID:
		err = fmt.Errorf("%w pushed request: it is that of another client", ErrUnknown)
	case !r.Spent.IsZero():
		err = fmt.Errorf("%w: pushed request", ErrSpent)
	case !moment(s.Now).Before(r.Expires):
		err = fmt.Errorf("%w pushed request", ErrExpired)
	default:
		return r.AuthorizationRequest, nil
	}
	return AuthorizationRequest{}, err
}

// Spend uses up a request that was opened, however long ago: of all who spend it, one succeeds, and
// the others return ErrSpent. The error Is ErrUnknown once the request is forgotten.
func (s PushedRequests) Spend(ctx context.Context, reference string) error {
	now := moment(s.Now)
	_, err := record.Change(ctx, s.Store, kindPushed, record.HashID(reference), func(r *PushedRequest, _ *time.Time) (bool, error) {
		if !r.Spent.IsZero() {
			return false, fmt.Errorf("%w: pushed request", ErrSpent)
		}
		r.Spent = now
		return true, nil
	})
	return unknown(kindPushed, err)
}
