package oauthadmin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// refuse returns an error of the admin API. Caddy logs its text, which must not contain a secret.
func refuse(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// statuses are the HTTP statuses of errors. The first error that matches decides.
var statuses = []struct {
	err    error
	status int
}{
	{store.ErrUnavailable, http.StatusServiceUnavailable},
	// Others keep changing the same record.
	{store.ErrConflict, http.StatusServiceUnavailable},
	// Caddy's admin API ends a request after ten seconds.
	{context.DeadlineExceeded, http.StatusServiceUnavailable},
	{tokenep.InvalidClient, http.StatusNotFound},
	{store.ErrNotFound, http.StatusNotFound},
	{store.ErrExists, http.StatusConflict},
	{state.ErrTooMany, http.StatusConflict},
	{state.ErrRolledOften, http.StatusConflict},
	{state.ErrBadAPIToken, http.StatusConflict}, // to roll what has expired or was revoked
	{keys.ErrTooEarly, http.StatusConflict},
	{keys.ErrFull, http.StatusConflict},
	{keys.ErrGiven, http.StatusConflict},
	{keys.ErrUnknown, http.StatusNotFound},
	{state.ErrInvalid, http.StatusBadRequest},
	{store.ErrInvalid, http.StatusBadRequest},
}

// asAPIError returns the error with its status, which is 500 for an unexpected error.
func asAPIError(w http.ResponseWriter, err error) error {
	answer, ok := errors.AsType[caddy.APIError](err)
	if !ok {
		answer = caddy.APIError{HTTPStatus: statusOf(err), Err: err, Message: withoutKind(err)}
	}
	if answer.HTTPStatus == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	return answer
}

// withoutKind returns the text of an error without the kind of error at its end, which the status
// says: "no client "x" in the store", and not "invalid_client" behind it.
func withoutKind(err error) string {
	text := err.Error()
	for _, known := range statuses {
		text = strings.TrimSuffix(text, ": "+known.err.Error())
	}
	return text
}

func statusOf(err error) int {
	for _, known := range statuses {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	return http.StatusInternalServerError
}
