package oauthtoken

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func init() {
	caddy.RegisterModule(new(Handler))
	httpcaddyfile.RegisterHandlerDirective("oauth_token", parse)
	// After handlers that limit or authenticate requests, and before those that answer them.
	httpcaddyfile.RegisterDirectiveOrder("oauth_token", httpcaddyfile.After, "basic_auth")
}

// Handler serves the endpoints of an oauth_server: token (RFC 6749 §3.2), key set (RFC 7517 §5),
// revocation (RFC 7009) and metadata (RFC 8414). Their paths are derived from the issuer, and each
// can be changed. A request for any other path passes through to the next handler.
//
// Paths are compared exactly, after rewrites.
type Handler struct {
	// The name of the server. Default: "default".
	Server string `json:"server,omitempty"`

	// The paths of the token endpoint, each with options of its own. The metadata name the first
	// one. Default: <path of the issuer>/oauth/token.
	TokenEndpoints []TokenEndpoint `json:"token_endpoints,omitempty"`

	// The path of the public keys. Default: <path of the issuer>/oauth/jwks.
	JWKS string `json:"jwks,omitempty"`

	// The path of the revocation endpoint. Default: <path of the issuer>/oauth/revoke.
	Revocation string `json:"revocation,omitempty"`

	// The paths of the metadata. Default: those of RFC 8414 §3 and of OpenID Connect Discovery 1.0
	// §4.
	Metadata []string `json:"metadata,omitempty"`

	server *oauthserver.AuthorizationServer
	routes server.Routes
}

// TokenEndpoint is one path of the token endpoint. The options are for clients that were written
// for another server.
type TokenEndpoint struct {
	// The path. Required.
	Path string `json:"path"`

	// Accept a JSON object of strings as well as a form. RFC 6749 has forms only. Default: false.
	JSON bool `json:"json,omitempty"`

	// The subject_token_type of an exchange that has none, although RFC 8693 §2.1 requires it.
	// Default: none, such an exchange is refused.
	SubjectTokenType string `json:"subject_token_type,omitempty"`

	// The error code for a subject token that is not accepted: invalid_request (RFC 8693 §2.2.2),
	// or invalid_grant, which many clients expect. Default: invalid_request.
	SubjectTokenError string `json:"subject_token_error,omitempty"`

	// Parameters of a request that are ignored. Default: none.
	Ignore []string `json:"ignore,omitempty"`
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
	var err error
	if h.server, err = oauthserver.Lookup(ctx, h.Server); err != nil {
		return err
	}
	paths, err := h.paths()
	if err != nil {
		return err
	}
	h.routes, err = h.server.Server().Mount(paths)
	return err
}

// ServeHTTP answers requests for the paths of the endpoints, and passes on all others.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	endpoint := h.routes[r.URL.Path]
	if endpoint == nil {
		return next.ServeHTTP(w, r)
	}
	defer h.server.Use()()
	if err := h.server.Ready(r.Context()); err != nil {
		refusal := tokenep.TemporarilyUnavailable.Describe("the server has not started").Because(err)
		refusal.RetryAfter = oauthserver.RetryStart
		tokenep.WriteError(w, r, refusal)
		return nil
	}
	endpoint.ServeHTTP(w, r)
	return nil
}

// paths resolves placeholders and checks the options.
func (h *Handler) paths() (p server.Paths, err error) {
	for _, t := range h.TokenEndpoints {
		path, err := adapt.Resolve("token_endpoint", t.Path, server.CheckPath)
		if err != nil {
			return p, err
		}
		code := tokenep.Code(t.SubjectTokenError)
		if code != "" && code != tokenep.InvalidRequest && code != tokenep.InvalidGrant {
			return p, fmt.Errorf("subject_token_error %q: must be invalid_request or invalid_grant", code)
		}
		p.Token = append(p.Token, server.TokenPath{Path: path, Dialect: tokenep.Dialect{
			JSON: t.JSON, SubjectTokenType: t.SubjectTokenType, SubjectTokenError: code, Ignore: t.Ignore,
		}})
	}
	if h.JWKS != "" {
		if p.JWKS, err = adapt.Resolve("jwks", h.JWKS, server.CheckPath); err != nil {
			return p, err
		}
	}
	if h.Revocation != "" {
		if p.Revocation, err = adapt.Resolve("revocation", h.Revocation, server.CheckPath); err != nil {
			return p, err
		}
	}
	p.Metadata, err = adapt.ResolveAll("metadata", h.Metadata, server.CheckPath)
	return p, err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
