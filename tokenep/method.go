package tokenep

import (
	"net/http"
	"slices"
	"strings"
)

// CORS lists the web origins that may read the answers of an endpoint. The zero value allows none.
// "*" allows all, which is safe, since no endpoint takes its authority from cookies.
type CORS []string

const preflightAge = "7200" // seconds for which a browser need not ask again

// Methods returns a handler that passes these methods to next. It answers OPTIONS and preflights
// itself, and refuses every other method with 405 and Allow (RFC 9110 §15.5.6).
func Methods(origins CORS, next http.HandlerFunc, methods ...string) http.Handler {
	allow := strings.Join(append(methods, http.MethodOptions), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origins.headers(w.Header(), r, allow)
		switch {
		case slices.Contains(methods, r.Method):
			next(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			e := InvalidRequest.Describe("this endpoint does not know the method")
			e.Status = http.StatusMethodNotAllowed
			_ = WriteError(w, r, e)
		}
	})
}

// headers adds the CORS protocol's headers to an answer.
func (c CORS) headers(h http.Header, r *http.Request, allow string) {
	if c.Allow(h, r) && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP, MCP-Protocol-Version")
		h.Set("Access-Control-Max-Age", preflightAge)
	}
}

// Preflight answers the preflight of a page that may send requests, to which it permits what it
// asks for (Fetch standard §4.8), and reports whether it has.
func (c CORS) Preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions {
		return false
	}
	method, origin := r.Header.Get("Access-Control-Request-Method"), r.Header.Get("Origin")
	if method == "" || origin == "" || !slices.Contains(c, "*") && !slices.Contains(c, origin) {
		return false
	}
	h := w.Header()
	c.Allow(h, r)
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", method)
	if names := r.Header.Values("Access-Control-Request-Headers"); len(names) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(names, ", "))
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Allow adds to an answer that the page which has sent r may read it, with the headers of a refusal
// (Fetch standard §3.2), and reports whether it may.
func (c CORS) Allow(h http.Header, r *http.Request) bool {
	if len(c) == 0 {
		return false
	}
	if slices.Contains(c, "*") {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if !slices.Contains(c, origin) {
			return false
		}
		h.Set("Access-Control-Allow-Origin", origin)
	}
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, DPoP-Nonce")
	return true
}
