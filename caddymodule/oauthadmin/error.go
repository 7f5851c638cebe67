package oauthadmin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// refuse returns an error of the admin API. Caddy logs its text, so no secret may be in it.
func refuse(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// statuses says which errors of the state are whose fault. The first that fits decides.
var statuses = []struct {
	err    error
	status int
}{
	{store.ErrUnavailable, http.StatusServiceUnavailable},
	{store.ErrConflict, http.StatusServiceUnavailable},        // others keep changing the same record
	{context.DeadlineExceeded, http.StatusServiceUnavailable}, // the admin API gives a request ten seconds
	{tokenep.InvalidClient, http.StatusNotFound},
	{store.ErrNotFound, http.StatusNotFound},
	{store.ErrExists, http.StatusConflict},
	{state.ErrTooMany, http.StatusConflict},
	{state.ErrRotating, http.StatusConflict},
	{state.ErrBadAPIToken, http.StatusConflict}, // rotating what has expired or was revoked
	{keys.ErrTooEarly, http.StatusConflict},
	{keys.ErrGiven, http.StatusConflict},
	{keys.ErrUnknown, http.StatusNotFound},
	{state.ErrInvalid, http.StatusBadRequest},
	{store.ErrInvalid, http.StatusBadRequest},
}

// asAPIError gives an error its status; what nobody foresaw is 500.
func asAPIError(w http.ResponseWriter, err error) error {
	answer, ok := errors.AsType[caddy.APIError](err)
	if !ok {
		answer = caddy.APIError{HTTPStatus: statusOf(err), Err: err}
	}
	if answer.HTTPStatus == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	return answer
}

func statusOf(err error) int {
	for _, known := range statuses {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	return http.StatusInternalServerError
}
