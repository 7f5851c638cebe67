package oauthverify

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterHandlerDirective("oauth_verify", parse)
	// Behind whatever limits or authenticates first, and before all that answers.
	httpcaddyfile.RegisterDirectiveOrder("oauth_verify", httpcaddyfile.After, "forward_auth")
}

// Handler lets a request pass that bears a good access token (RFC 6750, RFC 9068), and refuses the others with 400, 401, 403 or 503 and
// the challenge of RFC 6750 §3. Refusals are errors of Caddy, so that handle_errors can dress them up.
//
// It trusts the oauth_server of the same process, with no request in between, or issuers whose keys are in a file, or both.
//
// After it {http.auth.user.id} is the subject of the token, and {http.auth.user.<claim>} each claim that is a string, a number or a boolean.
// For an upstream, hand on X-User-Id from sub, X-Client-Id from client_id and X-Scope from scope, or what it already reads.
// Such headers are removed from every request before they are set, and Authorization is removed afterwards.
type Handler struct {
	// The name of the server of this process that is trusted. Default: "default" if there is one and no issuer is given.
	Server string `json:"server,omitempty"`

	// Other issuers that are trusted.
	Issuers []*TrustedIssuer `json:"issuers,omitempty"`

	// What this resource is called: one of these must be in aud (RFC 9068 §4). Required unless each issuer has its own, or insecure_any_audience is set.
	Audience []string `json:"audience,omitempty"`

	// Take tokens that were made for somebody else. Whoever gets such a token can use it here. Default: false.
	InsecureAnyAudience bool `json:"insecure_any_audience,omitempty"`

	// Scope tokens (RFC 6749 §3.3) of which a token needs all. Default: none.
	Scope []string `json:"scope,omitempty"`

	// Scope tokens of which a token needs at least one. Default: none.
	AnyScope []string `json:"any_scope,omitempty"`

	// Claims that are handed on as request headers. Default: none.
	Headers []ClaimHeader `json:"headers,omitempty"`

	// Further request headers that a client must not send; they are removed. Default: none.
	Strip []string `json:"strip,omitempty"`

	// The protection space that challenges name (RFC 9110 §11.5). Default: "api".
	Realm string `json:"realm,omitempty"`

	// How far the clocks of issuer and proxy may be apart; at most 5m. Default: 30s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`

	// Let requests without a token pass, without an identity; a token that is not good is refused still. Default: false.
	Optional bool `json:"optional,omitempty"`

	// Hand the token on to what follows. Default: false, nothing behind the proxy sees it.
	KeepAuthorization bool `json:"keep_authorization,omitempty"`

	// Let the preflight requests of CORS pass, which browsers send without credentials. Default: false.
	AllowPreflight bool `json:"allow_preflight,omitempty"`

	// Take the token from a form too (RFC 6750 §2.2). Default: false.
	FormToken bool `json:"form_token,omitempty"`

	// Take the token from the query too (RFC 6750 §2.3), from where it gets into logs and histories (RFC 9700 §4.3.2). Default: false.
	InsecureQueryToken bool `json:"insecure_query_token,omitempty"`

	// The size of a token, in bytes, above which it is not looked at. Default: 8192.
	MaxTokenSize int `json:"max_token_size,omitempty"`

	guard  *verify.Guard
	server *oauthserver.AuthorizationServer // nil when no server of this process is trusted
	label  string                           // of the metrics
	logger *slog.Logger
	cached bool // holds a reference to the shared cache
}

// ClaimHeader hands a claim on as a request header.
type ClaimHeader struct {
	// The name of the header. What the client sends under it is removed, in any spelling. Required.
	Header string `json:"header"`

	// The claim, or a path of names joined with dots into nested objects. Of a list the elements are joined with commas. Required.
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

// Provision finds out whom to trust and puts the guard together.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Slogger()
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
	h.guard, err = h.assemble(verify.Config{Issuers: issuers, Cache: h.cache()}, realm)
	h.warn()
	return err
}

// assemble puts the guard together, or says what is wrong with it.
func (h *Handler) assemble(config verify.Config, realm string) (*verify.Guard, error) {
	config.Leeway, config.MaxTokenSize = defaultLeeway, h.MaxTokenSize
	if h.Leeway != nil {
		config.Leeway = time.Duration(*h.Leeway)
	}
	verifier, err := verify.New(config)
	if err != nil {
		return nil, err
	}
	if err := adapt.RefusePlaceholders("scope", slices.Concat(h.Scope, h.AnyScope)); err != nil {
		return nil, err
	}
	guard := &verify.Guard{
		Verifier: verifier, Scope: h.Scope, AnyScope: h.AnyScope, Realm: realm,
		Optional: h.Optional, KeepAuthorization: h.KeepAuthorization, Preflight: h.AllowPreflight,
		FormToken: h.FormToken, InsecureQueryToken: h.InsecureQueryToken, Strip: h.Strip,
	}
	for _, c := range h.Headers {
		guard.Headers = append(guard.Headers, verify.HeaderClaim{Header: c.Header, Claim: c.Claim})
	}
	return guard, guard.Validate()
}

func checkRealm(realm string) error {
	return (&verify.Guard{Verifier: new(verify.Verifier), Realm: realm}).Validate()
}

// warn tells the operator what was loosened.
func (h *Handler) warn() {
	if h.InsecureAnyAudience {
		h.logger.Warn("insecure_any_audience: tokens that were made for other resources are taken here")
	}
	if h.InsecureQueryToken {
		h.logger.Warn("insecure_query_token: tokens in URLs get into logs and histories")
	}
}

// Cleanup gives back the shared cache, once, however far Provision got.
func (h *Handler) Cleanup() error {
	if !h.cached {
		return nil
	}
	h.cached = false
	_, err := pool.Delete(sharedCacheKey{})
	return err
}

// ServeHTTP decides about the request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	start := time.Now()
	w = h.guard.Private(w, r)
	token, err := h.admit(r)
	h.observe(r, token, err, time.Since(start))
	if err != nil {
		status := h.guard.WriteRefusal(w.Header(), err)
		if r.ProtoMajor == 1 && r.Header.Get("Expect") != "" {
			// Whoever waits for 100 Continue keeps the body to itself (RFC 9110 §10.1.1). Without this the answer would wait for the body, to use
			// the connection again, since Caddy wraps the body by which net/http knows.
			w.Header().Set("Connection", "close")
		}
		return caddyhttp.Error(status, public(err))
	}
	if token != nil {
		r = identify(r, token)
	}
	return next.ServeHTTP(w, r)
}

// admit asks the guard, once the keys are there.
func (h *Handler) admit(r *http.Request) (*verify.Token, error) {
	if h.server != nil {
		if err := h.server.Ready(r.Context()); err != nil {
			return nil, &verify.Error{Status: http.StatusServiceUnavailable, RetryAfter: oauthserver.RetryStart, Cause: err}
		}
	}
	return h.guard.Admit(r)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
