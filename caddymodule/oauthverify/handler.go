package oauthverify

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() {
	caddy.RegisterModule(new(Handler))
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(new(ResourceMetadata))
	caddy.RegisterModule(new(Authentication))
	caddy.RegisterModule(MatchScope{})
	caddy.RegisterModule(MatchClaim{})
	httpcaddyfile.RegisterGlobalOption("oauth_verify", parsePolicy)
	httpcaddyfile.RegisterDirective("oauth_verify", parse)
	httpcaddyfile.RegisterHandlerDirective("oauth_resource_metadata", parseResourceMetadata)
	// After handlers that limit or authenticate requests, and before those that answer them.
	httpcaddyfile.RegisterDirectiveOrder("oauth_verify", httpcaddyfile.After, "forward_auth")
	httpcaddyfile.RegisterDirectiveOrder("oauth_resource_metadata", httpcaddyfile.After, "forward_auth")
}

// Handler passes on requests with a valid access token (RFC 6750, RFC 9068). It refuses all others
// with status 400, 401, 403, 429 or 503 and the challenge of RFC 6750 §3. A refusal has a JSON
// body, or is an error of Caddy where handle_errors can format it. It does not wait for the body of
// the request: if there is one that was not read, HTTP/1.1 ends the connection after the answer.
//
// An access token that an API token was exchanged for is good from the addresses and as often as
// that was bound to: otherwise the answer is 403, or 429 with Retry-After. The address is that of
// the client as trusted_proxies say. How often is counted in memory, by each process for itself.
//
// It trusts the oauth_server of the same process, without a request between the two, or issuers
// whose keys are in a file, or both.
//
// Afterwards {http.auth.user.id} is the subject of the token, and {http.auth.user.<claim>} is each
// claim, where <claim> may be a path with dots into objects; a dot in a name is written \., and a
// name with :// as it is. The elements of a list are joined with commas, as in a header, so that a
// text with a comma is the empty string: header has forms for it. So is an object, a text with a
// control character or a space at an end, a claim that is absent, and every claim of a request
// without a token. An upstream reads claims from request headers: for example X-User-Id from sub,
// X-Client-Id from client_id and X-Scope from scope. A header that a claim is written to is removed
// from every request first, and Authorization is removed at the end.
//
// After a refusal {http.oauth_verify.reason} is why, in one word: no_token, unavailable, error, or
// the error code of the challenge. {http.oauth_verify.description} says more, and
// {http.oauth_verify.scope} is the scope that the route needs. handle_errors can show all of them.
type Handler struct {
	// The name of a policy of the app oauth_verify, whose options are those of this route too,
	// unless it gives them itself. Default: none.
	Policy string `json:"policy,omitempty"`

	Options
	given members // the options that were written down, whatever their value

	app      *App
	guard    *verify.Guard
	places   *adapt.Places
	obtained *slog.Logger                     // of the credentials in the place of the token
	resource *resource                        // nil if it has no name
	server   *oauthserver.AuthorizationServer // nil when no server of this process is trusted
	label    string                           // of metrics: the name of server
	decided  decisions
	logger   *slog.Logger
	log      *tokenep.RequestLog // nil until provisioned
	held     []any               // keys of what it holds in the pool
	measured []func()            // end the measurement of key sets

	errorRoutes sync.Map // *caddyhttp.Server to whether it has some: see formatsErrors

	cleaned bool // log is written out, and its share of the quota released
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.oauth_verify",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the trusted issuers and makes the guard. Its errors name the route by what tokens
// for it say.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.places = adapt.PlacesOf(ctx, h)
	err := h.places.Locate(h.provision(ctx))
	h.logger = ctx.Slogger()
	if names := append(slices.Clone(h.Audience), h.Resource); err != nil && names[0] != "" {
		err = fmt.Errorf("the route for audience %s: %w", names[0], err)
	}
	return err
}

func (h *Handler) provision(ctx caddy.Context) error {
	h.logger = h.places.Logger(ctx.Slogger()) // until it is loaded
	h.log = &tokenep.RequestLog{Logger: adapt.Logger(ctx), Now: time.Now, Quota: oauthserver.AcquireLogQuota()}
	if err := oauthserver.RegisterMetrics(ctx, verifyRequests, verifyDuration); err != nil {
		return err
	}
	var err error
	if h.app, err = sharedApp(ctx); err != nil {
		return err
	}
	if h.Policy != "" {
		if h.Options, err = h.app.apply(h); err != nil {
			return err
		}
	}
	if err := h.resolve(); err != nil {
		return err
	}
	issuers, err := h.trusted(h.places.In(ctx))
	if err != nil {
		return err
	}
	h.decided = decisionsFor(h.label)
	for i := range issuers {
		h.measured = append(h.measured, oauthserver.MeasureKeys(h.label, issuers[i].Name, issuers[i].Keys))
	}
	proofs, err := h.proofs()
	if err != nil {
		return err
	}
	if h.guard, err = h.assemble(verify.Config{Issuers: issuers, Cache: h.cache(), DPoP: proofs}, h.certificateHeader()); err != nil {
		return err
	}
	h.guard.Rates, h.guard.Certificate = h.rates(), h.certificate()
	h.warn()
	h.warnOfNames(issuers)
	h.warnOfLog(ctx)
	if h.server != nil {
		h.app.reaches = append(h.app.reaches, reach{h, h.logger, issuers[0].Audience, len(issuers) > 1})
	}
	if err := h.replace(ctx, issuers); err != nil {
		return err
	}
	if h.Resource == "" {
		return nil
	}
	names := make([]string, len(issuers))
	for i := range issuers {
		names[i] = issuers[i].Name
	}
	metadata := h.guard.Metadata(names...)
	metadata.CertificateBound = h.ClientCertificates != nil || h.certificate() != nil
	h.resource, err = h.app.describe(metadata)
	return err
}

// resolve puts values in the place of placeholders.
func (h *Handler) resolve() (err error) {
	if err := h.checkAudience(); err != nil {
		return err
	}
	if h.Realm != "" {
		if h.Realm, err = adapt.Resolve("realm", h.Realm, checkRealm); err != nil {
			return err
		}
	}
	if h.Resource != "" {
		if h.Resource, err = adapt.Resolve("resource", h.Resource, verify.CheckResource); err != nil {
			return err
		}
	}
	return nil
}

// warn logs what the configuration has loosened.
func (h *Handler) warn() {
	if h.InsecureAnyAudience {
		h.logger.Warn("insecure_any_audience: tokens that were issued for other resources are accepted")
	}
	if h.InsecureQueryToken {
		h.logger.Warn("insecure_query_token: tokens in URLs get into logs and histories")
	}
	if h.InsecureAnyOrigin {
		h.logger.Warn("insecure_any_origin: any site can have a browser send requests with the token in its cookie")
	}
	if h.InsecureAnyPath {
		h.logger.Warn("insecure_any_path: an upstream may read another path than the one that the route was chosen by")
	}
	if h.InsecureAnyMethod {
		h.logger.Warn("insecure_any_method: an upstream may read another method than the one that the route was chosen by")
	}
}

// warnOfNames logs that an application is told sub alone, which is unique within one issuer (RFC
// 7519 §4.1.2).
func (h *Handler) warnOfNames(issuers []verify.TrustedIssuer) {
	writes := func(claim string) int {
		return slices.IndexFunc(h.Headers, func(c ClaimHeader) bool { return len(c.Claim) == 1 && c.Claim[0] == claim })
	}
	if at := writes("sub"); len(issuers) > 1 && at >= 0 && writes("iss") < 0 {
		h.logger.Warn("header: two issuers may mean different people by one sub, and the application cannot tell them apart: "+
			"write a header with iss too, or make a route for each issuer", "option", "header "+h.Headers[at].Header)
	}
}

// warnOfLog logs that an access log shows tokens: Caddy leaves out Authorization and cookies alone.
func (h *Handler) warnOfLog(ctx caddy.Context) {
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Logs == nil || server.Logs.ShouldLogCredentials {
		return
	}
	for _, source := range h.TokenHeaders {
		h.logger.Warn("token_header: an access log of this server shows the header, unless its format leaves it out: "+
			"write format filter { request>headers>"+http.CanonicalHeaderKey(source.Header)+" delete }", "header", source.Header)
	}
}

// Cleanup releases what is shared, once, however far Provision got.
func (h *Handler) Cleanup() error {
	var err error
	if h.log != nil && !h.cleaned {
		h.cleaned = true
		h.log.Flush()
		err = oauthserver.ReleaseLogQuota()
	}
	return errors.Join(err, h.release())
}

// ServeHTTP passes the request on or refuses it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if metadata := h.metadataOf(r); metadata != nil {
		metadata.ServeHTTP(w, r)
		return nil
	}
	start := time.Now()
	if !h.AllowPreflight && tokenep.CORS(h.CORSOrigins).Preflight(w, r) {
		h.observe(r, nil, nil, time.Since(start))
		return nil
	}
	w = h.guard.Private(w, r)
	h.guard.OfferNonce(w.Header(), r)
	user := expectIdentity(r)
	token, err := h.admit(r)
	h.observe(r, token, err, time.Since(start))
	if err != nil {
		verify.AnswerEarly(w, r)
		tokenep.CORS(h.CORSOrigins).Allow(w.Header(), r)
		tell(r, err)
		return h.refuse(w, r, err)
	}
	admitted := r
	if token != nil {
		r = user.identify(r, token, h.guard)
	}
	w, r, release := h.guard.Bound(w, r, token)
	defer release()
	if err = next.ServeHTTP(w, r); err != nil {
		h.guard.Withdraw(admitted) // it goes to the routes of handle_errors now
	}
	return err
}

// admit asks the guard as soon as the keys are loaded.
func (h *Handler) admit(r *http.Request) (*verify.Token, error) {
	if h.server != nil {
		if err := h.server.Ready(r.Context()); err != nil {
			return nil, &verify.Error{Status: http.StatusServiceUnavailable, RetryAfter: oauthserver.RetryStart, Cause: err}
		}
	}
	_, end := adapt.Trace(r.Context(), "verify the access token")
	token, err := h.guard.Admit(r)
	defer func() { end(err) }()
	if own, ok := errors.AsType[caddyhttp.HandlerError](err); ok && own.StatusCode != 0 {
		// Another handler keeps the form from being read, such as request_body with a 413.
		err = &verify.Error{Status: own.StatusCode, Code: verify.InvalidRequest,
			Description: "the form could not be read", Cause: err}
	}
	return token, err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
