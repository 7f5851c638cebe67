package oauthverify

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

// icebergBody is the value of error_body for the form of the Iceberg REST catalog.
const icebergBody = "iceberg"

// icebergTypes are the types of errors that clients of an Iceberg REST catalog know, by status.
var icebergTypes = map[int]string{
	http.StatusBadRequest:            "BadRequestException",
	http.StatusUnauthorized:          "NotAuthorizedException",
	http.StatusForbidden:             "NotAuthorizedException",
	http.StatusRequestEntityTooLarge: "BadRequestException",
	http.StatusTooManyRequests:       "SlowDownException",
	http.StatusServiceUnavailable:    "SlowDownException",
}

// refuse answers a request that is refused. Without error_body the answer is an error of Caddy, so
// that handle_errors can format it.
func (h *Handler) refuse(w http.ResponseWriter, err error) error {
	status := h.guard.WriteRefusal(w.Header(), err)
	if h.ErrorBody != icebergBody {
		return caddyhttp.Error(status, public(err))
	}
	message, kind := http.StatusText(status), icebergTypes[status]
	if refusal, ok := errors.AsType[*verify.Error](err); ok && refusal.Description != "" {
		message = refusal.Description
	}
	if kind == "" {
		kind = "InternalServerError"
	}
	// It cannot fail.
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": kind, "code": status}})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the connection may be gone
	return nil
}
