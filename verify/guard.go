package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Guard lets requests pass that bear a good access token (RFC 6750). Its zero value but for Verifier is strict:
// a token in the header Authorization and nowhere else, removed before the request goes on.
//
// A Guard is set up before its first use and not changed or copied afterwards. It is safe for concurrent use.
type Guard struct {
	// Verifier (required) decides whether a token is good.
	Verifier *Verifier

	// Scope lists scope-tokens of which a token needs all, AnyScope those of which it needs at least one. Empty: none.
	Scope, AnyScope Scope

	// Realm is the protection space named in challenges (RFC 9110 §11.5). Default: "api".
	Realm string

	// Optional lets requests without a token pass, without an identity. A token that is not good is refused still.
	Optional bool

	// KeepAuthorization hands the token on. Otherwise the header Authorization, whatever its scheme, and the query
	// parameter access_token are removed. A form is never rewritten: it goes on as it came.
	KeepAuthorization bool

	// Preflight lets the preflight requests of CORS pass: OPTIONS with Origin and Access-Control-Request-Method.
	// Browsers send them without credentials; any they do carry are ignored and removed.
	Preflight bool

	// FormToken also takes the token from a form sent by POST (RFC 6750 §2.2). Forms of more than 64 KiB are refused.
	FormToken bool

	// InsecureQueryToken also takes the token from the query (RFC 6750 §2.3), from where it gets into logs, histories
	// and Referer headers (RFC 9700 §4.3.2). Responses are then marked as private; see [Guard.Private].
	InsecureQueryToken bool

	// Headers hands claims on as request headers. The client can't send these headers itself; see [HeaderClaim].
	Headers []HeaderClaim

	// Strip names further headers that the client must not send.
	Strip []string

	once     sync.Once
	err      error
	names    protected
	claims   []HeaderClaim // with canonical header names
	required Scope         // what the challenge lists
	realm    string
}

// reserved headers frame the message, belong to one connection, or say where the request goes: they can be neither
// set from a claim nor stripped.
var reserved = []string{"Authorization", "Connection", "Content-Length", "Content-Type", "Expect", "Host",
	"HTTP2-Settings", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"}

// Validate says what is wrong with the configuration of the guard. Call it while setting up: a guard that is not
// valid refuses every request with status 500.
func (g *Guard) Validate() error {
	g.once.Do(func() { g.err = g.prepare() })
	return g.err
}

func (g *Guard) prepare() error {
	g.realm = g.Realm
	if g.realm == "" {
		g.realm = "api" // RFC 6750 §3: the scheme must be followed by at least one attribute
	}
	if g.Verifier == nil {
		return errors.New("the guard has no verifier")
	}
	if strings.ContainsFunc(g.Realm, func(c rune) bool { return c < ' ' || c > '~' }) {
		return fmt.Errorf("the realm %q is not printable ASCII", g.Realm)
	}
	for _, token := range slices.Concat(g.Scope, g.AnyScope) {
		if !isScopeToken(token) {
			return fmt.Errorf("%q is not a scope-token: printable ASCII without space, quote and backslash", token)
		}
		if !g.required.Has(token) {
			g.required = append(g.required, token)
		}
	}
	return g.protect()
}

func (g *Guard) protect() error {
	framing := mustProtect(reserved...)
	for _, name := range g.Strip {
		if framing.has(name) {
			return fmt.Errorf("the header %s can't be stripped: the message or its connection needs it, or the token is in it", name)
		}
		if err := g.names.add(name); err != nil {
			return err
		}
	}
	var taken protected
	for _, c := range g.Headers {
		if framing.has(c.Header) {
			return fmt.Errorf("the header %s can't be set from a claim: it is not for applications; take one such as X-User-Id", c.Header)
		}
		if taken.has(c.Header) {
			return fmt.Errorf("the header %s is set twice; names that differ in case, _ or - alone are one to many upstreams", c.Header)
		}
		if c.Claim == "" {
			return fmt.Errorf("the header %s has no claim", c.Header)
		}
		if err := errors.Join(g.names.add(c.Header), taken.add(c.Header)); err != nil {
			return err
		}
		g.claims = append(g.claims, HeaderClaim{Header: http.CanonicalHeaderKey(c.Header), Claim: c.Claim})
	}
	return errors.Join(g.names.add("Authorization"), g.names.add("HTTP2-Settings"))
}

// Admit decides about r and changes it in place for what stands behind the guard. It gives the verified token, or
// nil for a request that may pass without one; or an *[Error], and then r has no protected header and no token left.
//
// Admit puts a body into r that strips trailers at its end. So r should be a copy of the request that net/http made,
// by [http.Request.WithContext] for instance: net/http tells by the body of its own whether a client still waits for
// 100 Continue, and would wait in turn for a body that never comes.
func (g *Guard) Admit(r *http.Request) (*Token, error) {
	if err := g.Validate(); err != nil {
		return nil, &Error{Status: http.StatusInternalServerError, Cause: err}
	}
	g.names.strip(r)
	if g.Preflight && isPreflight(r) {
		overrides.stripFields(r.Header, "")
		g.hideToken(r)
		return nil, nil
	}
	raw, err := g.extract(r)
	if err != nil {
		return nil, g.refuse(r, err)
	}
	if raw == "" {
		if !g.Optional {
			return nil, g.refuse(r, errNoToken)
		}
		if !g.KeepAuthorization {
			g.hideToken(r)
		}
		return nil, nil
	}
	token, err := g.Verifier.Verify(r.Context(), raw)
	if err == nil {
		err = g.permit(token)
	}
	if err == nil {
		err = setClaims(r.Header, g.claims, token)
	}
	if err != nil {
		refusal := g.refuse(r, err)
		if token != nil {
			refusal.Token = token
		}
		return nil, refusal
	}
	if !g.KeepAuthorization {
		g.hideToken(r)
	}
	return token, nil
}

var errScopeMissing = &Error{Status: http.StatusForbidden, Code: InsufficientScope,
	Description: "the access token lacks a scope that is needed here"}

// permit is the policy: what a good token must be good for.
func (g *Guard) permit(t *Token) error {
	if !t.Scope.Includes(g.Scope) {
		return errScopeMissing
	}
	if len(g.AnyScope) > 0 && !slices.ContainsFunc(g.AnyScope, t.Scope.Has) {
		return errScopeMissing
	}
	return nil
}

// refuse takes the token from r, which may yet go to a handler of errors, and completes err with the scope that the
// client should ask for (RFC 6750 §3).
func (g *Guard) refuse(r *http.Request, err error) *Error {
	g.hideToken(r)
	var refusal *Error
	if !errors.As(err, &refusal) {
		return &Error{Status: http.StatusInternalServerError, Cause: err}
	}
	if refusal.Status == http.StatusServiceUnavailable {
		return refusal
	}
	completed := *refusal // refusals are shared between requests
	completed.Scope = g.required
	return &completed
}

// hideToken removes the header Authorization and, where the guard takes it from there, the parameter of the query.
func (g *Guard) hideToken(r *http.Request) {
	delete(r.Header, "Authorization")
	if !g.InsecureQueryToken || r.URL.RawQuery == "" || findToken(r.URL.RawQuery).count == 0 {
		return
	}
	u := *r.URL // others may hold the old one
	u.RawQuery = withoutToken(u.RawQuery)
	r.URL, r.RequestURI = &u, u.RequestURI()
	r.Form.Del(tokenParameter)
}

// overrides lets some upstreams take an OPTIONS request, which passes without a token, for one of another method.
var overrides = mustProtect("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")

// isPreflight recognises the preflight request of the Fetch standard, §4.8.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// Challenge writes the headers of a refusal to h and gives its status: WWW-Authenticate (RFC 6750 §3) with 400, 401
// and 403, Retry-After in seconds with 503, and Cache-Control: no-store with each. An error that is no *[Error] is a 500.
func (g *Guard) Challenge(h http.Header, err error) int {
	h.Set("Cache-Control", "no-store")
	var refusal *Error
	if !errors.As(err, &refusal) {
		return http.StatusInternalServerError
	}
	switch refusal.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		_ = g.Validate() // the realm has its default even if Admit never ran
		h.Set("WWW-Authenticate", refusal.Challenge(g.realm))
	case http.StatusServiceUnavailable:
		seconds := max(1, math.Ceil(refusal.RetryAfter.Seconds()))
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	return refusal.Status
}

// Handler lets through to next what [Guard.Admit] admits, with the token in the request's context, and answers the
// rest itself, without reading the body of the request unless FormToken is set.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = g.Private(w, r)
		ctx := &tokenContext{Context: r.Context()}
		r = r.WithContext(ctx)
		token, err := g.Admit(r)
		if err != nil {
			w.WriteHeader(g.Challenge(w.Header(), err))
			return
		}
		ctx.token = token
		next.ServeHTTP(w, r)
	})
}

// tokenContext is a context.WithValue that gets its value after the request was copied, so that one copy will do.
type tokenContext struct {
	context.Context
	token *Token
}

type contextKey struct{}

func (c *tokenContext) Value(key any) any {
	if key == (contextKey{}) && c.token != nil {
		return c.token
	}
	return c.Context.Value(key)
}

// NewContext gives a context that carries the verified token of a request.
func NewContext(ctx context.Context, t *Token) context.Context {
	return &tokenContext{Context: ctx, token: t}
}

// FromContext gives the verified token of the request to which ctx belongs.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(contextKey{}).(*Token)
	return t, ok
}
