package tokenep

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Response is a successful answer of the token endpoint (RFC 6749 §5.1, RFC 8693 §2.2.1).
type Response struct {
	AccessToken     string `json:"access_token"`                // or what issued_token_type says
	IssuedTokenType string `json:"issued_token_type,omitempty"` // RFC 8693 §2.2.1
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"` // whole seconds that are left, rounded down
	RefreshToken    string `json:"refresh_token,omitempty"`

	// Whole seconds until the refresh token ends if it is not used, and until it ends however often
	// it is used (draft-ietf-oauth-refresh-token-expiration).
	RefreshTokenTimeout    int64 `json:"refresh_token_timeout,omitempty"`
	AuthorizationExpiresIn int64 `json:"authorization_expires_in,omitempty"`

	Scope   string `json:"scope,omitempty"`
	IDToken string `json:"id_token,omitempty"` // OpenID Connect Core §3.1.3.3
}

// complete adds the refresh token, and says how long the tokens are good.
func (r *Response) complete(c *Claims, t RefreshToken, now time.Time) {
	if r.IssuedTokenType == IssuedRefreshToken {
		r.AccessToken, r.ExpiresIn, r.AuthorizationExpiresIn = t.Text, secondsLeft(t.Expires, now), secondsLeft(t.Ends, now)
		return
	}
	r.ExpiresIn = secondsLeft(c.Expires, now)
	r.RefreshToken = t.Text
	if t.Text != "" && !t.Expires.IsZero() {
		r.RefreshTokenTimeout = secondsLeft(t.Expires, now)
	}
	if t.Text != "" && !t.Ends.IsZero() {
		r.AuthorizationExpiresIn = secondsLeft(t.Ends, now)
	}
}

// appendJSON appends what json.Marshal would say of r, by hand as in [Minter.Mint]: that is most of
// what there is to write.
func (r *Response) appendJSON(b []byte) []byte {
	b = append(b, `{"access_token":`...)
	b = appendString(b, r.AccessToken)
	b = appendText(b, "issued_token_type", r.IssuedTokenType)
	b = append(b, `,"token_type":`...)
	b = appendString(b, r.TokenType)
	b = append(b, `,"expires_in":`...)
	b = strconv.AppendInt(b, r.ExpiresIn, 10)
	b = appendText(b, "refresh_token", r.RefreshToken)
	b = appendSeconds(b, "refresh_token_timeout", r.RefreshTokenTimeout)
	b = appendSeconds(b, "authorization_expires_in", r.AuthorizationExpiresIn)
	b = appendText(b, "scope", r.Scope)
	b = appendText(b, "id_token", r.IDToken)
	return append(b, '}')
}

// appendText appends one more member of an object, unless it is empty.
func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return appendString(b, value)
}

// appendSeconds appends one more member of an object, unless it is zero.
func appendSeconds(b []byte, name string, seconds int64) []byte {
	if seconds == 0 {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, seconds, 10)
}

// Created is what Endpoint.Call returns for an answer with status 201 in the place of 200.
type Created struct{ Answer any }

// WriteJSON answers with v. Nothing that an endpoint says may be cached (RFC 6749 §5.1).
func WriteJSON(w http.ResponseWriter, status int, v any) {
	var body []byte
	if response, ok := v.(*Response); ok {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		body = response.appendJSON((*buffer)[:0])
		*buffer = body
	} else {
		var err error
		if body, err = json.Marshal(v); err != nil {
			status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
		}
	}
	h, values := w.Header(), [...]string{"application/json", "no-store", "no-cache", strconv.Itoa(len(body))}
	h["Content-Type"], h["Cache-Control"] = values[0:1:1], values[1:2:2]
	h["Pragma"], h["Content-Length"] = values[2:3:3], values[3:4:4]
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody is left to be told that it failed
}

// WriteError answers with the refusal that err amounts to (RFC 6749 §5.2) and returns it. Only a
// client that used the Authorization header gets a challenge: the RFC asks for it there, and
// elsewhere it makes browsers prompt, and some clients overlook the body.
func WriteError(w http.ResponseWriter, r *http.Request, err error) *Error {
	e := AsError(err)
	h := w.Header()
	switch {
	case e.Challenge != "":
		h.Set("WWW-Authenticate", e.Challenge)
	case e.Status == http.StatusUnauthorized && len(r.Header["Authorization"]) > 0:
		h.Set("WWW-Authenticate", `Basic realm="token endpoint", charset="UTF-8"`)
	}
	SetRetryAfter(h, e)
	WriteJSON(w, e.Status, struct {
		Error       Code   `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
	return e
}

// SetRetryAfter says when to come back (RFC 9110 §10.2.3), if e does.
func SetRetryAfter(h http.Header, e *Error) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
}

// secondsLeft returns the expires_in of a token: never more than what is left of it.
func secondsLeft(expires, now time.Time) int64 {
	return max(0, int64(expires.Sub(now)/time.Second))
}

// heldAnswer keeps an answer back until send.
type heldAnswer struct {
	http.ResponseWriter
	status int // 0: there is none
	body   []byte
}

func (h *heldAnswer) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *heldAnswer) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	h.body = append(h.body, p...)
	return len(p), nil
}

func (h *heldAnswer) send() {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
		_, _ = h.ResponseWriter.Write(h.body) // nobody is left to be told that it failed
	}
}
