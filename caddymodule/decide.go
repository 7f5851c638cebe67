package caddymodule

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/verify"
)

// observe counts the decision, and logs a refusal: Caddy itself logs those at DEBUG only. No line shows a token.
func (g *Guard) observe(r *http.Request, t *verify.Token, err error, took time.Duration) {
	countDecision(g.label, result(r, t, err), took)
	if err == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("client_ip", clientAddress(r).String()),
	}
	level := slog.LevelInfo
	if refusal, ok := errors.AsType[*verify.Error](err); ok {
		attrs = append(attrs, slog.String("error", refusal.Code), slog.Int("status", refusal.Status))
		if t := refusal.Token; t != nil {
			attrs = append(attrs, slog.String("client", t.ClientID), slog.String("sub", t.Subject), slog.String("jti", t.ID))
		}
		if refusal.Status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	attrs = append(attrs, slog.String("reason", err.Error()))
	g.logger.LogAttrs(r.Context(), level, "request denied", attrs...)
}

// result is the decision in one word, from a fixed list.
func result(r *http.Request, t *verify.Token, err error) string {
	if err == nil {
		switch {
		case t != nil:
			return "ok"
		case r.Method == http.MethodOptions:
			return "preflight"
		}
		return "anonymous"
	}
	refusal, ok := errors.AsType[*verify.Error](err)
	switch {
	case !ok || refusal.Status == http.StatusInternalServerError:
		return "error"
	case refusal.Status == http.StatusServiceUnavailable:
		return "unavailable"
	case refusal.Code == "":
		return "no_token"
	}
	return refusal.Code
}

// public is a refusal without its cause, which is for the log alone: handle_errors may show {err.message} to the client.
func public(err error) error {
	refusal, ok := errors.AsType[*verify.Error](err)
	if !ok {
		return errors.New("the request could not be judged")
	}
	shown := *refusal
	shown.Cause, shown.Token = nil, nil
	return &shown
}

// identify sets {http.auth.user.*} from the token. Claims go in as values: they are never themselves expanded. Whatever an
// earlier handler said about the user is gone, so that no two identities mix.
func identify(r *http.Request, t *verify.Token) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	repl.DeleteByPrefix("http.auth.user.")
	for name, claim := range t.Claims {
		switch value := claim.(type) {
		case string:
			repl.Set("http.auth.user."+name, value)
		case json.Number:
			repl.Set("http.auth.user."+name, value.String())
		case bool:
			repl.Set("http.auth.user."+name, value)
		}
	}
	repl.Set("http.auth.user.id", t.Subject) // and not a claim of that name
}
