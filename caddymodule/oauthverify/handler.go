package oauthverify

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthissuer"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterHandlerDirective("oauth_verify", parse)
	// After handlers that limit or authenticate requests, and before those that answer them.
	httpcaddyfile.RegisterDirectiveOrder("oauth_verify", httpcaddyfile.After, "forward_auth")
}

// Handler passes on requests with a valid access token (RFC 6750, RFC 9068). It refuses all others
// with status 400, 401, 403, 429 or 503 and the challenge of RFC 6750 §3. A refusal is an error of
// Caddy, so that handle_errors can format it. It does not wait for the body of the request: if
// there is one that was not read, HTTP/1.1 ends the connection after the answer.
//
// An access token that an API token was exchanged for is good from the addresses and as often as
// that was bound to: otherwise the answer is 403, or 429 with Retry-After. The address is that of
// the client as trusted_proxies say. How often is counted in memory, by each process for itself.
//
// It trusts the oauth_server of the same process, without a request between the two, or issuers
// whose keys are in a file, or both.
//
// Afterwards {http.auth.user.id} is the subject of the token, and {http.auth.user.<claim>} is each
// claim, where <claim> may be a path with dots into objects. The elements of a list are joined with
// commas. An object, a claim that is absent, and every claim of a request without a token is the
// empty string. An upstream reads claims from request headers: for example X-User-Id from sub,
// X-Client-Id from client_id and X-Scope from scope. A header that a claim is written to is removed
// from every request first, and Authorization is removed at the end.
type Handler struct {
	// The name of the server of this process that is trusted. Default: "default" if no issuer is
	// given.
	Server string `json:"server,omitempty"`

	// Other issuers that are trusted.
	Issuers []*oauthissuer.TrustedIssuer `json:"issuers,omitempty"`

	// The names of this resource, one of which must be in aud (RFC 9068 §4), byte for byte.
	// Required unless each issuer has its own audience, or insecure_any_audience is set.
	Audience []string `json:"audience,omitempty"`

	// Accept tokens that were issued for other resources. Whoever receives such a token can use it
	// here. Default: false.
	InsecureAnyAudience bool `json:"insecure_any_audience,omitempty"`

	// Scope tokens (RFC 6749 §3.3), all of which are required. Default: none.
	Scope []string `json:"scope,omitempty"`

	// Scope tokens, at least one of which is required. Default: none.
	AnyScope []string `json:"any_scope,omitempty"`

	// Claims that are written to request headers. Default: none.
	Headers []ClaimHeader `json:"headers,omitempty"`

	// Further request headers to remove. Default: none.
	Strip []string `json:"strip,omitempty"`

	// The realm of the challenges (RFC 9110 §11.5). Default: "api".
	Realm string `json:"realm,omitempty"`

	// How much the clocks of issuer and proxy may differ, 5m at most. Default: 30s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`

	// Pass on requests that have no token. They have no identity. An invalid token is refused
	// nevertheless. Default: false.
	Optional bool `json:"optional,omitempty"`

	// Leave the token in the request. Default: false, what follows does not see it.
	KeepAuthorization bool `json:"keep_authorization,omitempty"`

	// Pass on the preflight requests of CORS, which browsers send without credentials. Default:
	// false.
	AllowPreflight bool `json:"allow_preflight,omitempty"`

	// Accept a token in a form as well (RFC 6750 §2.2). Default: false.
	FormToken bool `json:"form_token,omitempty"`

	// Accept a token in the query as well (RFC 6750 §2.3). From there it gets into logs and
	// histories (RFC 9700 §4.3.2). Default: false.
	InsecureQueryToken bool `json:"insecure_query_token,omitempty"`

	// Pass on paths that an upstream could take for others: those with a dot segment, a backslash
	// or a NUL, plain or in disguise, such as ..;, %2e%2e, %5c or %252e. With them, a route that is
	// open to all can lead to what another one protects. Default: false, they are refused with 400.
	InsecureAnyPath bool `json:"insecure_any_path,omitempty"`

	// The largest size of a token, in bytes. Default: 8192.
	MaxTokenSize int `json:"max_token_size,omitempty"`

	// The form of the body of a refusal: iceberg, that of the Iceberg REST catalog. Default: there
	// is none, and handle_errors can write one.
	ErrorBody string `json:"error_body,omitempty"`

	guard  *verify.Guard
	server *oauthserver.AuthorizationServer // nil when no server of this process is trusted
	label  string                           // of metrics: the name of server
	logger *slog.Logger
	log    *tokenep.RequestLog // nil until provisioned
	held   []any               // keys of what it holds in the pool

	cleaned bool // log is written out, and its share of the quota released
}

// ClaimHeader writes a claim to a request header.
type ClaimHeader struct {
	// The name of the header. Headers of that name in the request are removed, in any spelling.
	// Required.
	Header string `json:"header"`

	// The name of the claim, or a path of names joined with dots into nested objects. The elements
	// of a list are joined with commas. Required.
	Claim string `json:"claim"`
}

const defaultLeeway = 30 * time.Second

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.oauth_verify",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the trusted issuers and makes the guard.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Slogger()
	h.log = &tokenep.RequestLog{Logger: h.logger, Now: time.Now, Quota: oauthserver.AcquireLogQuota()}
	if err := oauthserver.RegisterMetrics(ctx, verifyRequests, verifyDuration); err != nil {
		return err
	}
	if err := h.checkAudience(); err != nil {
		return err
	}
	issuers, err := h.trusted(ctx)
	if err != nil {
		return err
	}
	realm := ""
	if h.Realm != "" {
		if realm, err = adapt.Resolve("realm", h.Realm, checkRealm); err != nil {
			return err
		}
	}
	if h.guard, err = h.assemble(verify.Config{Issuers: issuers, Cache: h.cache()}, realm); err != nil {
		return err
	}
	h.guard.Rates = h.rates()
	h.warn()
	return nil
}

// assemble makes the guard, or returns what is wrong with the options.
func (h *Handler) assemble(config verify.Config, realm string) (*verify.Guard, error) {
	if h.ErrorBody != "" && h.ErrorBody != icebergBody {
		return nil, fmt.Errorf("error_body %q: it must be %s", h.ErrorBody, icebergBody)
	}
	config.Leeway, config.MaxTokenSize = defaultLeeway, h.MaxTokenSize
	if h.Leeway != nil {
		config.Leeway = time.Duration(*h.Leeway)
	}
	verifier, err := verify.New(config)
	if err != nil {
		return nil, err
	}
	if err := h.checkLists(); err != nil {
		return nil, err
	}
	guard := &verify.Guard{
		Verifier: verifier, Scope: h.Scope, AnyScope: h.AnyScope, Realm: realm,
		Optional: h.Optional, KeepAuthorization: h.KeepAuthorization, Preflight: h.AllowPreflight,
		FormToken: h.FormToken, InsecureQueryToken: h.InsecureQueryToken, InsecureAnyPath: h.InsecureAnyPath, Strip: h.Strip,
		ClientAddress: adapt.ClientAddress,
	}
	for _, c := range h.Headers {
		guard.Headers = append(guard.Headers, verify.HeaderClaim{Header: c.Header, Claim: c.Claim})
	}
	return guard, guard.Validate()
}

// checkLists refuses placeholders that nobody would resolve, and what is no list of names but could
// pass for one.
func (h *Handler) checkLists() error {
	claims := make([]string, len(h.Headers))
	for i := range h.Headers {
		claims[i] = h.Headers[i].Claim
	}
	return cmp.Or(
		adapt.RefusePlaceholders("scope", slices.Concat(h.Scope, h.AnyScope)),
		adapt.RefusePlaceholders("header", claims),
		adapt.RefusePlaceholders("strip", h.Strip),
		adapt.CheckScope(h.Scope, adapt.Line("scope")),
		adapt.CheckScope(h.AnyScope, adapt.Line("any_scope")),
		adapt.CheckNames(h.Strip, "headers", adapt.Line("strip")),
	)
}

func checkRealm(realm string) error {
	return (&verify.Guard{Verifier: new(verify.Verifier), Realm: realm}).Validate()
}

// warn logs what the configuration has loosened.
func (h *Handler) warn() {
	if h.InsecureAnyAudience {
		h.logger.Warn("insecure_any_audience: tokens that were issued for other resources are accepted")
	}
	if h.InsecureQueryToken {
		h.logger.Warn("insecure_query_token: tokens in URLs get into logs and histories")
	}
	if h.InsecureAnyPath {
		h.logger.Warn("insecure_any_path: an upstream may read another path than the one that the route was chosen by")
	}
}

// warnOfForms logs an audience that means a resource of a client, but is written in another way:
// aud is compared byte by byte (RFC 7519 §2), so that no such token of the client would pass.
func (h *Handler) warnOfForms(audience []string) {
	config := &h.server.Server().Config
	for i := range config.Clients {
		client := &config.Clients[i]
		targets := client.Audience
		if len(targets) == 0 {
			targets = config.Audience
		}
		for _, target := range targets {
			same := slices.IndexFunc(audience, func(a string) bool { return tokenep.SameResource(a, target) })
			if same >= 0 && !slices.Contains(audience, target) {
				h.logger.Warn("a client's audience is this one, but is written in another way, and its tokens are refused: write both alike",
					"audience", audience[same], "client", client.ID, "its_audience", target)
			}
		}
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
	start := time.Now()
	w = h.guard.Private(w, r)
	user := expectIdentity(r)
	token, err := h.admit(r)
	h.observe(r, token, err, time.Since(start))
	if err != nil {
		verify.AnswerEarly(w, r)
		return h.refuse(w, err)
	}
	if token != nil {
		r = user.identify(r, token)
	}
	return next.ServeHTTP(w, r)
}

// admit asks the guard as soon as the keys are loaded.
func (h *Handler) admit(r *http.Request) (*verify.Token, error) {
	if h.server != nil {
		if err := h.server.Ready(r.Context()); err != nil {
			return nil, &verify.Error{Status: http.StatusServiceUnavailable, RetryAfter: oauthserver.RetryStart, Cause: err}
		}
	}
	token, err := h.guard.Admit(r)
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
