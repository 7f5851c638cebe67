package oauthverify

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

// The forms of error_body.
const (
	jsonBody    = "json"    // as RFC 6749 §5.2 has it
	problemBody = "problem" // RFC 9457
	icebergBody = "iceberg" // that of the Iceberg REST catalog
)

var errorBodies = []string{jsonBody, problemBody, icebergBody}

// icebergTypes are the types of errors that clients of an Iceberg REST catalog know, by status.
var icebergTypes = map[int]string{
	http.StatusBadRequest:            "BadRequestException",
	http.StatusUnauthorized:          "NotAuthorizedException",
	http.StatusForbidden:             "NotAuthorizedException",
	http.StatusRequestEntityTooLarge: "BadRequestException",
	http.StatusTooManyRequests:       "SlowDownException",
	http.StatusServiceUnavailable:    "SlowDownException",
}

// refuse answers a request that is refused. Without error_body the answer is an error of Caddy
// where error routes may format it, and JSON elsewhere.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	status := h.guard.WriteRefusal(w.Header(), err)
	form := h.ErrorBody
	if form == "" {
		if h.formatsErrors(r) {
			return caddyhttp.Error(status, public(err))
		}
		form = jsonBody
	}
	refusal, ok := errors.AsType[*verify.Error](err)
	if !ok {
		refusal = &verify.Error{Status: status}
	}
	mediaType := "application/json"
	if form == problemBody {
		mediaType = "application/problem+json"
	}
	body, _ := json.Marshal(errorBody(form, status, refusal)) // it cannot fail
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the connection may be gone
	return nil
}

// formatsErrors reports whether the server of a request has error routes, of its own or of a
// subroute: which of them an error comes to is known once it is there. It looks through the routes
// once, since they stay as they are for as long as the handler does.
func (h *Handler) formatsErrors(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return true
	}
	formats, known := h.errorRoutes.Load(server)
	if !known {
		formats = hasRoutes(server.Errors) || slices.ContainsFunc(server.Routes, routeFormatsErrors)
		h.errorRoutes.Store(server, formats)
	}
	return formats.(bool)
}

func hasRoutes(errs *caddyhttp.HTTPErrorConfig) bool { return errs != nil && len(errs.Routes) > 0 }

func routeFormatsErrors(route caddyhttp.Route) bool {
	return slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
		sub, ok := handler.(*caddyhttp.Subroute)
		return ok && (hasRoutes(sub.Errors) || slices.ContainsFunc(sub.Routes, routeFormatsErrors))
	})
}

// errorBody returns what a body of that form says.
func errorBody(form string, status int, refusal *verify.Error) any {
	title := http.StatusText(status)
	switch form {
	case jsonBody:
		return refusal.Body()
	case icebergBody:
		kind := cmp.Or(icebergTypes[status], "InternalServerError")
		return map[string]any{"error": map[string]any{"message": cmp.Or(refusal.Description, title), "type": kind, "code": status}}
	}
	return struct {
		Type   string       `json:"type"`
		Title  string       `json:"title"`
		Status int          `json:"status"`
		Detail string       `json:"detail,omitempty"`
		Error  string       `json:"error,omitempty"`
		Scope  verify.Scope `json:"scope,omitzero"`
	}{"about:blank", title, status, refusal.Description, refusal.Code, refusal.Scope}
}
