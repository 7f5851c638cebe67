package tokenep_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 6749 §5.2: whatever goes wrong is one of the codes, with its status.
func TestAsError(t *testing.T) {
	away := 5 * time.Second
	for _, c := range []struct {
		err    error
		code   tokenep.Code
		status int
		after  time.Duration
	}{
		{tokenep.InvalidGrant, tokenep.InvalidGrant, http.StatusBadRequest, 0},
		{fmt.Errorf("no such client: %w", tokenep.InvalidClient), tokenep.InvalidClient, http.StatusUnauthorized, 0},
		{fmt.Errorf("in vain: %w", tokenep.InvalidScope.Describe("too much")), tokenep.InvalidScope, http.StatusBadRequest, 0},
		{fmt.Errorf("loading: %w", store.ErrUnavailable), tokenep.TemporarilyUnavailable, http.StatusServiceUnavailable, away},
		{fmt.Errorf("others keep changing it: %w", store.ErrConflict), tokenep.TemporarilyUnavailable, http.StatusServiceUnavailable, away},
		{context.DeadlineExceeded, tokenep.TemporarilyUnavailable, http.StatusServiceUnavailable, away},
		{context.Canceled, tokenep.TemporarilyUnavailable, http.StatusServiceUnavailable, away},
		{errors.New("the disk is full"), tokenep.ServerError, http.StatusInternalServerError, 0},
	} {
		got := tokenep.AsError(c.err)
		if got.Code != c.code || got.Status != c.status || got.RetryAfter != c.after {
			t.Errorf("%v: %s %d %s, want %s %d %s", c.err, got.Code, got.Status, got.RetryAfter, c.code, c.status, c.after)
		}
		if !errors.Is(got, c.code) {
			t.Errorf("%v: it is not %s", c.err, c.code)
		}
	}
}

// The log has code, description and cause in one line, as far as there are any.
func TestErrorSaysWhatIsKnown(t *testing.T) {
	for want, err := range map[string]*tokenep.Error{
		"invalid_scope":                       tokenep.InvalidScope.Describe(""),
		"invalid_scope: too much":             tokenep.InvalidScope.Describe("too much"),
		"invalid_scope: one; another":         tokenep.InvalidScope.Describe("").Because(errors.New("one\nanother")),
		"invalid_scope: too much: it is away": tokenep.InvalidScope.Describe("too much").Because(errors.New("it is away")),
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// An answer that has no JSON form is an error, and says no more than that.
func TestAnswerWithoutAJSONFormIsAnError(t *testing.T) {
	w := httptest.NewRecorder()
	tokenep.WriteJSON(w, http.StatusOK, math.NaN())
	if got := w.Body.String(); w.Code != http.StatusInternalServerError || got != `{"error":"server_error"}` {
		t.Errorf("%d %s", w.Code, got)
	}
}

// A token that nobody can judge is no bad token: the client is told when to come back.
func TestAsUnavailable(t *testing.T) {
	got := tokenep.AsUnavailable(fmt.Errorf("subject: %w", &verify.Error{Status: http.StatusServiceUnavailable, RetryAfter: 7 * time.Second}))
	if e := tokenep.AsError(got); e.Code != tokenep.TemporarilyUnavailable || e.Status != http.StatusServiceUnavailable || e.RetryAfter != 7*time.Second {
		t.Errorf("%+v", e)
	}
	for _, err := range []error{nil, errors.New("junk"), &verify.Error{Status: http.StatusUnauthorized, Code: verify.InvalidToken}} {
		if got := tokenep.AsUnavailable(err); got != nil {
			t.Errorf("%v: %v", err, got)
		}
	}
}
