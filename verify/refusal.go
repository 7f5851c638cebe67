package verify

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
)

// Refusals of a request without authentication information. The challenge has no error code (RFC
// 6750 §3.1).
var (
	errNoToken     = &Error{Status: http.StatusUnauthorized, Cause: errors.New("no bearer token")}
	errOtherScheme = &Error{Status: http.StatusUnauthorized,
		Cause: errors.New("no bearer token: the Authorization header has another scheme, or none")}
	errTokenGone = &Error{Status: http.StatusUnauthorized,
		Cause: errors.New("no bearer token: another guard in front of this one has let the request in, and removed it")}
)

// noToken returns the refusal of a request without a token, whose cause says where one may be.
func noToken(r *http.Request) *Error {
	if len(r.Header["Authorization"]) > 0 {
		return errOtherScheme
	}
	if _, earlier := FromContext(r.Context()); earlier {
		return errTokenGone
	}
	return errNoToken
}

// refuse removes the token from r, which may still go to an error handler, and completes err.
func (g *Guard) refuse(r *http.Request, err error) *Error {
	g.hideToken(r)
	var refusal *Error
	if !errors.As(err, &refusal) {
		return &Error{Status: http.StatusInternalServerError, Cause: err}
	}
	return g.complete(refusal)
}

// complete returns refusal with the scope that the client should ask for (RFC 6750 §3), and with
// its challenges. It works on a copy, as refusals are shared between requests.
func (g *Guard) complete(refusal *Error) *Error {
	completed := *refusal
	switch refusal.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
	default:
		return &completed
	}
	if completed.Scope == nil {
		completed.Scope = g.required
	}
	if completed.Challenges == nil {
		completed.Challenges = make([]Challenge, len(g.challenges))
		for i, challenge := range g.challenges {
			completed.Challenges[i] = completed.explain(challenge)
		}
	}
	return &completed
}

// explain returns c with the parameters that say why the request was refused (RFC 6750 §3). What is
// wrong with a proof is nothing that a client can do better under another scheme (RFC 9449 §7.1).
func (e *Error) explain(c Challenge) Challenge {
	if c.Scheme != dpop && (e.Code == InvalidDPoPProof || e.Code == UseDPoPNonce) {
		c.Parameters = append(slices.Clip(c.Parameters), Parameter{"scope", e.Scope.String()})
		return c
	}
	c.Parameters = slices.Concat(c.Parameters, []Parameter{
		{"error", e.Code}, {"error_description", e.Description}, {"scope", e.Scope.String()},
	}, e.Parameters)
	return c
}

// answer answers a request that Admit has refused, whose error is an *Error.
func (g *Guard) answer(w http.ResponseWriter, r *http.Request, err error) {
	refusal, _ := errors.AsType[*Error](err)
	if g.Refused != nil {
		g.Refused(r, refusal)
	}
	status := g.WriteRefusal(w.Header(), refusal)
	body, _ := json.Marshal(refusal.Body()) // texts have a JSON form
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the connection may be gone
}

// WriteRefusal writes the headers that go with err to h and returns the status: WWW-Authenticate
// with 400, 401 and 403 (RFC 6750 §3), one line for each challenge; Retry-After in seconds with
// 429 and 503; and always Cache-Control: no-store. An error that is not an *[Error] is a 500.
func (g *Guard) WriteRefusal(h http.Header, err error) int {
	h.Set("Cache-Control", "no-store")
	var refusal *Error
	if !errors.As(err, &refusal) {
		return http.StatusInternalServerError
	}
	if refusal.Challenges == nil { // it is not from Admit
		_ = g.Validate() // which prepares the challenges, also of a guard that is not valid
		refusal = g.complete(refusal)
	}
	if refusal.Code == UseDPoPNonce {
		g.dpop.Offer(h)
	}
	if len(refusal.Challenges) > 0 {
		h.Del("WWW-Authenticate")
		for _, challenge := range refusal.Challenges {
			h.Add("WWW-Authenticate", challenge.String())
		}
	}
	if refusal.Status == http.StatusServiceUnavailable || refusal.Status == http.StatusTooManyRequests {
		seconds := max(1, math.Ceil(refusal.RetryAfter.Seconds()))
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	return refusal.Status
}
