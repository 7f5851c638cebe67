package oauthverify

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/verify"
)

// observe counts the decision, and logs a refusal, which Caddy itself logs at level DEBUG only. No
// line shows a token.
func (h *Handler) observe(r *http.Request, t *verify.Token, err error, took time.Duration) {
	h.decided.count(result(r, t, err), took)
	if err == nil {
		return
	}
	from := adapt.ClientAddress(r)
	if refusal, ok := errors.AsType[*verify.Error](err); ok && h.server != nil {
		h.server.Server().DeniedUse(r.Context(), refusal, from)
	}
	h.log.Denied(r, err, from)
}

// resultOK is the result of a request with a good token.
const resultOK = "ok"

// result returns the decision in one word, from a fixed list.
func result(r *http.Request, t *verify.Token, err error) string {
	if err == nil {
		switch {
		case t != nil:
			return resultOK
		case r.Method == http.MethodOptions:
			return "preflight"
		}
		return "anonymous"
	}
	refusal, ok := errors.AsType[*verify.Error](err)
	switch {
	case ok && refusal.Status == http.StatusServiceUnavailable:
		return "unavailable"
	case !ok || refusal.Status >= http.StatusInternalServerError:
		return "error"
	case refusal.Code == "":
		return "no_token"
	}
	return refusal.Code
}

// tell sets the placeholders of a refusal, for handle_errors. Nothing that the client has sent, and
// no cause, is in them.
func tell(r *http.Request, err error) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	repl.Set(reasonPlaceholder, result(r, nil, err))
	description, scope := "", ""
	if refusal, ok := errors.AsType[*verify.Error](err); ok {
		description, scope = refusal.Description, refusal.Scope.String()
	}
	repl.Set(descriptionPlaceholder, description)
	repl.Set(scopePlaceholder, scope)
}

// public returns a refusal without its cause. handle_errors may show {err.message} to the client,
// and the cause is only for the log.
func public(err error) error {
	refusal, ok := errors.AsType[*verify.Error](err)
	if !ok {
		return errors.New("the request could not be verified")
	}
	shown := *refusal
	shown.Cause, shown.Option, shown.Token = nil, "", nil
	return &shown
}
