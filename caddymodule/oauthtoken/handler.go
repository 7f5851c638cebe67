package oauthtoken

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterHandlerDirective("oauth_token", parse)
	// Behind whatever limits or authenticates first, and before all that answers.
	httpcaddyfile.RegisterDirectiveOrder("oauth_token", httpcaddyfile.After, "basic_auth")
}

// Handler serves the endpoints of an oauth_server: token (RFC 6749 §3.2), key set (RFC 7517 §5),
// revocation (RFC 7009) and metadata (RFC 8414), and where people allow clients something, the
// authorization endpoint (RFC 6749 §3.1) and what belongs to it. Their paths are derived from the
// issuer, and each can be moved. Paths are compared exactly, after rewrites.
//
// The folder <path of the issuer>/oauth/ belongs to the server while at least one endpoint lies in
// it: any other path there is answered with 404 and a JSON error, unless another oauth_token has an
// endpoint at it. A request for any other path passes through.
//
// No answer waits for a body that is not needed: HTTP/1.1 ends the connection after it.
type Handler struct {
	// The name of the server. Default: "default".
	Server string `json:"server,omitempty"`

	// Where the token endpoint is, and how each place differs. The first is named in the metadata.
	// Default: <path of the issuer>/oauth/token.
	TokenEndpoints []TokenEndpoint `json:"token_endpoints,omitempty"`

	// Where other endpoints are, by their names; of several paths the first is named in the
	// metadata. Default: in <path of the issuer>/oauth/, such as jwks at …/oauth/jwks and
	// revocation at …/oauth/revoke; and metadata at the places of RFC 8414 §3 and of OpenID Connect
	// Discovery 1.0 §4.
	Paths map[string][]string `json:"paths,omitempty"`

	// Let requests in <path of the issuer>/oauth/ pass for which there is no endpoint, to an
	// upstream that has paths of its own there. Default: they are answered with 404.
	Passthrough bool `json:"passthrough,omitempty"`

	server *oauthserver.AuthorizationServer
	routes *server.Routes
	logger *slog.Logger // for warnings
	warned sync.Once

	unknownEndpoint error // of a path in the Caddyfile
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.oauth_token",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision finds the server and mounts its endpoints.
func (h *Handler) Provision(ctx caddy.Context) error {
	places := adapt.PlacesOf(ctx, h)
	h.logger = places.Logger(ctx.Slogger())
	return places.Locate(h.provision(ctx))
}

func (h *Handler) provision(ctx caddy.Context) error {
	var err error
	if h.server, err = oauthserver.Lookup(ctx, h.Server); err != nil {
		return err
	}
	paths, err := h.paths()
	if err != nil {
		return err
	}
	paths.Logger = h.logger.With("server", h.server.Name())
	h.warnOfChosenAddress(ctx, hasTrustedProxies)
	h.warnOfNoProxy(ctx)
	h.routes, err = h.server.Mount(paths, h.checkSites)
	return err
}

// ServeHTTP answers for the paths of the endpoints.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	endpoint := h.at(r.URL.Path)
	if endpoint == nil {
		return next.ServeHTTP(w, r)
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		h.warnOfChosenAddress(r.Context(), func(*caddyhttp.Server) bool { return true })
	}
	defer h.server.Use()()
	if err := h.server.Ready(r.Context()); err != nil {
		endpoint = notStarted(err)
	}
	if r.Body != nil {
		r.Body = body{r.Body}
	}
	endpoint.ServeHTTP(w, r)
	return nil
}

// at returns what answers for a path; nil: it passes on requests for it.
func (h *Handler) at(path string) http.Handler {
	if !h.routes.Has(path) && h.server.Elsewhere(path, h.routes) {
		return nil
	}
	return h.routes.Find(path)
}

// AnswersAt reports whether it answers requests for a path.
func (h *Handler) AnswersAt(path string) bool { return h.at(path) != nil }

// warnOfChosenAddress warns once if the client can choose the address that its failures are counted
// for. A proxy appends the address that it sees to X-Forwarded-For, and without
// trusted_proxies_strict Caddy takes the first address there. The server is the one that the
// context is of; where it does not tell whether it trusts a proxy, the first request of one does.
func (h *Handler) warnOfChosenAddress(ctx context.Context, trusts func(*caddyhttp.Server) bool) {
	s, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if s == nil || s.TrustedProxiesStrict > 0 || !slices.ContainsFunc(s.ClientIPHeaders, isForwardedFor) || !trusts(s) {
		return
	}
	h.warned.Do(func() {
		h.logger.Warn("trusted_proxies without trusted_proxies_strict: clients can choose the address that rate_limit counts failures for; " +
			"add trusted_proxies_strict to servers in the global options, unless the proxy replaces X-Forwarded-For")
	})
}

// warnOfNoProxy logs that a header with certificates is believed of nobody: no proxy is trusted.
// Where clients are asked for one in the handshake, that one counts.
func (h *Handler) warnOfNoProxy(ctx context.Context) {
	s, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if c := h.server.ClientCertificates; s != nil && c != nil && c.Header != "" && !hasTrustedProxies(s) && !slices.ContainsFunc(s.TLSConnPolicies, asksForCertificates) {
		h.logger.Warn("client_certificates: the header is believed of the proxies in trusted_proxies alone, and there are none, so that no client has a certificate: "+
			"add trusted_proxies to servers in the global options", "server", h.server.Name(), "header", c.Header)
	}
}

// hasTrustedProxies reports whether a server is known to trust proxies. By the time that its
// handlers are provisioned, Caddy has moved trusted_proxies to a field that is not exported.
func hasTrustedProxies(s *caddyhttp.Server) bool {
	source := reflect.ValueOf(s).Elem().FieldByName("trustedProxies")
	return s.TrustedProxiesUnix || s.TrustedProxiesRaw != nil || source.Kind() == reflect.Interface && !source.IsNil()
}

func asksForCertificates(p *caddytls.ConnectionPolicy) bool { return p.ClientAuthentication != nil }

func isForwardedFor(header string) bool { return strings.EqualFold(header, "X-Forwarded-For") }

// notStarted answers for every endpoint as long as the server has not started.
func notStarted(cause error) http.Handler {
	return verify.EarlyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal := tokenep.TemporarilyUnavailable.Describe("the server has not started").Because(cause)
		refusal.RetryAfter = oauthserver.RetryStart
		tokenep.WriteError(w, r, refusal)
	}))
}

// body is the body of a request that another handler may limit. The errors of that handler keep
// their status, such as 413 of request_body.
type body struct{ io.ReadCloser }

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	own, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || own.StatusCode == 0 {
		return n, err
	}
	code := tokenep.InvalidRequest
	if own.StatusCode >= http.StatusInternalServerError {
		code = tokenep.ServerError
	}
	refusal := code.Describe("the request body could not be read").Because(err)
	refusal.Status = own.StatusCode
	return n, refusal
}

// paths resolves placeholders and checks the options.
func (h *Handler) paths() (p server.Paths, err error) {
	if err := h.checkLists(); err != nil {
		return p, err
	}
	for _, t := range h.TokenEndpoints {
		path, err := adapt.Resolve("token_endpoint", t.Path, server.CheckPath)
		if err != nil {
			return p, err
		}
		dialect, err := t.dialect()
		if err != nil {
			return p, err
		}
		p.Token = append(p.Token, server.TokenPath{Path: path, Dialect: dialect})
	}
	p.Passthrough = h.Passthrough
	p.Moved = make(map[string][]string, len(h.Paths))
	for name, paths := range h.Paths {
		if p.Moved[name], err = adapt.ResolveAll("path "+name, paths, server.CheckPath); err != nil {
			return p, err
		}
	}
	return p, nil
}

// checkLists refuses commas between names, and placeholders that nobody would resolve.
func (h *Handler) checkLists() error {
	for name, paths := range h.Paths {
		if err := adapt.CheckPaths(paths, adapt.Line("path "+name)); err != nil {
			return err
		}
	}
	for _, t := range h.TokenEndpoints {
		if err := cmp.Or(
			adapt.CheckPaths([]string{t.Path}, adapt.Line("token_endpoint")),
			adapt.CheckNames(t.Ignore, "parameters", adapt.Line("ignore")),
			adapt.CheckScope(t.DefaultScope, adapt.Line("default_scope")),
			adapt.RefusePlaceholders("default_scope", t.DefaultScope),
			adapt.RefusePlaceholders("ignore", t.Ignore),
			adapt.RefusePlaceholders("subject_token_type", []string{t.SubjectTokenType}),
		); err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
