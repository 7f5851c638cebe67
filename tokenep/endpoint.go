package tokenep

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Endpoint is one row of the table of a server's endpoints. It says what tells them apart; what
// they have in common is done by Front, once.
type Endpoint struct {
	// Name names the endpoint in a configuration, in the log and in metrics: "revocation".
	Name string

	// Path is the default path, below that of the issuer: "/oauth/revoke". A configuration can move
	// it. It is not used by an endpoint with a Places function.
	Path string

	// Places returns the default paths of an endpoint that does not lie below the issuer's path,
	// such as a well-known URI (RFC 8615). base is the path of the issuer without a slash at its
	// end.
	Places func(base string) []string

	// Argument names the one segment that follows the path in each request, however it was moved:
	// the handler gets it by Request.PathValue. Empty: the path is the whole of it.
	Argument string

	// Member is the member of the metadata that has the URL of this endpoint (RFC 8414 §2), such as
	// "revocation_endpoint"; empty: none has.
	Member string

	// Metadata returns further members of the metadata document, which is complete but for them and
	// must not be changed; nil: there are none. They must not be there yet.
	Metadata func(document map[string]any) map[string]any

	// Methods are the HTTP methods that it knows beside OPTIONS. Any other is 405.
	Methods []string

	// Origins are the web origins that may read its answers; nil: those of the server.
	Origins CORS

	// BeforeStart says that it needs neither keys nor state, and answers before they are there.
	BeforeStart bool

	// Callers says who may call it. It is for Call.
	Callers Callers

	// Parameters are the parameters that Call reads, beside those of client authentication. Each
	// may occur once. Every other one is unknown to the endpoint, and not in the form.
	Parameters []string

	// Dialect is how it differs from the RFCs; nil: in nothing. It is for Call.
	Dialect *Dialect

	// Call answers a form sent by POST, whose client is authenticated if it names one. What Call
	// returns is written as JSON, with status 200 unless it is Created; its error is an *Error, or
	// whatever AsError makes of it.
	Call func(ctx context.Context, r *Request) (any, error)

	// Handler answers in the place of Call where an endpoint takes no form, or is more than that.
	Handler http.Handler
}

// Callers says who may call an endpoint.
type Callers uint8

// The callers of an endpoint. Whoever presents credentials that are not good is refused in any
// case.
const (
	AnyCaller           Callers = iota // with or without a client
	AnyClient                          // any client; a public one names itself only
	ConfidentialClients                // a client that has authenticated
)

// check refuses the caller, nil if it is no client.
func (c Callers) check(client *Client) error {
	switch {
	case c == AnyCaller, client != nil && (c == AnyClient || !client.Public()):
		return nil
	case client == nil:
		return InvalidClient.Describe("client authentication is required")
	default:
		return UnauthorizedClient.Describe("a public client cannot use this endpoint")
	}
}

// Front stands before every endpoint of a server: it reads, authenticates, writes, logs and counts.
type Front struct {
	Authenticator *Authenticator
	Origins       CORS                                 // for endpoints that have none of their own
	Possessions   Possessions                          // of whoever sends requests
	Wait          func(ctx context.Context) error      // until the keys are there; nil: they are
	Log           *RequestLog                          // gets a line for each request
	Observe       func(ctx context.Context, o Outcome) // is told of each request; may be nil
	Now           func() time.Time                     // the clock of the endpoints
	Trace         Trace                                // of the token endpoint's phases; nil: none
}

// Trace begins a span of a trace: a part of the work for a request, with a name such as "sign". It
// returns the context for what belongs to it, and what ends it, with the error of the part.
type Trace func(ctx context.Context, name string) (context.Context, func(err error))

// phase begins a span, if there is a trace.
func (f *Front) phase(ctx context.Context, name string) (context.Context, func(error)) {
	if f.Trace == nil {
		return ctx, func(error) {}
	}
	return f.Trace(ctx, name)
}

// Outcome is how a request ended: for the log and for metrics.
type Outcome struct {
	Endpoint string  // Endpoint.Name
	Grant    string  // grant_type, if it is one of the server's; else empty
	Client   *Client // nil when none was authenticated

	// Claimed is the client that the credentials were for, good or not. It is empty if there is no
	// such client, since the text may be a secret.
	Claimed string

	ID       string      // jti of the access token that was issued
	Page     string      // tells a page that showed Err to a person; empty: none did
	Err      *Error      // nil when the request was answered
	Event    string      // what happened, for the log; empty: nothing that is worth a line
	Details  []slog.Attr // of the event
	Claims   *Claims     // of the token that was issued; nil: none was
	Option   string      // of a refusal, for the log: what of a Caddyfile would have prevented it
	Duration time.Duration
}

// Handler returns the handler of an endpoint: it holds requests back until the keys are there,
// answers CORS and refuses other methods. No answer waits for a body that was not read; see
// [verify.EarlyHandler].
func (f *Front) Handler(e *Endpoint) http.Handler {
	answer := e.Handler
	if e.Call != nil {
		answer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.Answer(w, r, e.Name, func(o *Outcome) (any, error) { return f.call(r, e, o) })
		})
	}
	origins := e.Origins
	if origins == nil {
		origins = f.Origins
	}
	answer = Methods(origins, f.Possessions.offering(answer), e.Methods...)
	if e.BeforeStart || f.Wait == nil {
		return verify.EarlyHandler(answer)
	}
	return verify.EarlyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.Wait(r.Context()); err != nil {
			_ = WriteError(w, r, err)
			return
		}
		answer.ServeHTTP(w, r)
	}))
}

// call reads the form, authenticates the client and calls the endpoint.
func (f *Front) call(r *http.Request, e *Endpoint, o *Outcome) (any, error) {
	dialect := e.Dialect
	if dialect == nil {
		dialect = new(Dialect)
	}
	req, err := readForm(r, dialect, f.Authenticator, o)
	if err != nil {
		return nil, err
	}
	if err := req.declare(e.Parameters, nil); err != nil {
		return nil, err
	}
	if err := req.readTarget(); err != nil {
		return nil, err
	}
	if err := f.authenticate(r.Context(), req); err != nil {
		return nil, err
	}
	if err := e.Callers.check(req.Client); err != nil {
		return nil, err
	}
	return e.Call(r.Context(), req)
}

// authenticate finds out which client sent the request, and notes it for the log.
func (f *Front) authenticate(ctx context.Context, r *Request) (err error) {
	r.Client, err = f.Authenticator.Authenticate(ctx, r)
	r.Outcome.Client = r.Client
	return err
}

// Answer writes what call returns; nil is an answer without content. The line about it is in the
// log before: whoever has a token can be asked about by its line, even if the process is killed at
// that moment.
func (f *Front) Answer(w http.ResponseWriter, r *http.Request, endpoint string, call func(o *Outcome) (any, error)) {
	var answer any
	var err error
	f.record(r, endpoint, func(o *Outcome) {
		if answer, err = call(o); err != nil {
			o.Err = AsError(err)
		}
	})
	created, isCreated := answer.(Created)
	switch {
	case err != nil:
		_ = WriteError(w, r, err)
	case isCreated:
		WriteJSON(w, http.StatusCreated, created.Answer)
	case answer == nil:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	default:
		WriteJSON(w, http.StatusOK, answer)
	}
}

// Page passes on what show answers, a page or a redirect, with the line about it in the log before,
// as Answer does.
func (f *Front) Page(w http.ResponseWriter, r *http.Request, endpoint string, show func(w http.ResponseWriter, o *Outcome)) {
	held := heldAnswer{ResponseWriter: w}
	f.record(r, endpoint, func(o *Outcome) { show(&held, o) })
	held.send()
}

// record tells the log and the metrics how a request ended that answer has found the answer to.
func (f *Front) record(r *http.Request, endpoint string, answer func(o *Outcome)) {
	o := Outcome{Endpoint: endpoint}
	start := f.Now()
	answer(&o)
	o.Duration = f.Now().Sub(start)
	f.log(r, &o)
	if f.Observe != nil {
		f.Observe(r.Context(), o)
	}
}

// lines are where the lines of requests are put together.
var lines = sync.Pool{New: func() any { b := make([]slog.Attr, 0, 16); return &b }}

// log writes the one line of a request: who asked for what, and what came of it. It never shows a
// token or a secret.
func (f *Front) log(r *http.Request, o *Outcome) {
	if o.Err == nil && o.Event == "" {
		return
	}
	buffer := lines.Get().(*[]slog.Attr)
	attrs := (*buffer)[:0]
	defer func() {
		clear(attrs)
		*buffer = attrs
		lines.Put(buffer)
	}()
	from := f.Authenticator.RemoteAddress(r)
	if o.Err != nil {
		attrs = append(attrs, slog.String("client_ip", from.String()))
	}
	if o.Endpoint == TokenEndpointName || o.Grant != "" {
		attrs = append(attrs, slog.String("grant", o.Grant))
	}
	switch {
	case o.Client != nil:
		attrs = append(attrs, slog.String("client", o.Client.ID))
	case o.Claimed != "": // not proven: the error is invalid_client
		attrs = append(attrs, slog.String("client", o.Claimed))
	}
	if o.Err == nil {
		attrs = append(attrs, o.Details...)
		if o.Claims != nil {
			attrs = o.appendToken(attrs)
		}
		f.Log.Event(r.Context(), o.Event, attrs...)
		return
	}
	level := slog.LevelInfo
	if o.Err.Status >= http.StatusInternalServerError && !errors.Is(o.Err, context.Canceled) {
		level = slog.LevelError // a client that hangs up is nobody's error
	}
	if o.Page != "" {
		attrs = append(attrs, slog.String("page", o.Page))
	}
	attrs = append(attrs, slog.String("error", string(o.Err.Code)), slog.Int("status", o.Err.Status),
		slog.String("reason", o.Err.Error()))
	if o.Option != "" {
		attrs = append(attrs, slog.String("option", o.Option))
	}
	f.Log.Refused(r.Context(), level, o.Endpoint+" refused", from, attrs...)
}

// Address returns the address that a request comes from, as far as it is counted for anything.
func (f *Front) Address(r *http.Request) netip.Addr { return f.Authenticator.RemoteAddress(r) }

// Denied writes the line of a request that the guard of an endpoint has refused.
func (f *Front) Denied(r *http.Request, refusal *verify.Error) {
	f.Log.Denied(r, refusal, f.Address(r))
}

// Nothing answers for a path at which there could be an endpoint, and is none.
func (f *Front) Nothing(w http.ResponseWriter, r *http.Request) {
	e := InvalidRequest.Describe("there is no endpoint at this path")
	e.Status = http.StatusNotFound
	_ = WriteError(w, r, e)
	from := f.Authenticator.RemoteAddress(r)
	f.Log.Refused(r.Context(), slog.LevelInfo, "no such endpoint", from,
		slog.String("client_ip", from.String()), slog.String("method", r.Method), slog.String("path", r.URL.EscapedPath()))
}
