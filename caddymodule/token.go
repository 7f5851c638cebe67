package caddymodule

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// Endpoints serves the endpoints of an oauth_server: token (RFC 6749 §3.2), key set (RFC 7517 §5), revocation (RFC 7009) and
// metadata (RFC 8414). Their paths are derived from the issuer and can each be changed. A request for any other path passes through.
//
// Paths are compared exactly, after rewrites.
type Endpoints struct {
	// The name of the server. Default: "default".
	Server string `json:"server,omitempty"`

	// Where the token endpoint is, and how each place differs. The first is named in the metadata. Default: <path of the issuer>/oauth/token.
	TokenEndpoints []TokenEndpoint `json:"token_endpoints,omitempty"`

	// Where the public keys are. Default: <path of the issuer>/oauth/jwks.
	JWKS string `json:"jwks,omitempty"`

	// Where tokens are revoked. Default: <path of the issuer>/oauth/revoke.
	Revocation string `json:"revocation,omitempty"`

	// Where the metadata are. Default: the places of RFC 8414 §3 and of OpenID Connect Discovery 1.0 §4.
	Metadata []string `json:"metadata,omitempty"`

	server *Server
	shared *shared // its store, also when the server has let go of it
	routes server.Routes
}

// retryStart is when to come back to a server that has not started.
const retryStart = 5 * time.Second

// TokenEndpoint is one path of the token endpoint. Its options are for clients that were written for another server.
type TokenEndpoint struct {
	// The path. Required.
	Path string `json:"path"`

	// Take a JSON object of strings too, not only a form. RFC 6749 knows forms alone. Default: false.
	JSON bool `json:"json,omitempty"`

	// What kind of token an exchange brings that does not say so (RFC 8693 §2.1 requires it to). Default: none, such an exchange is refused.
	SubjectTokenType string `json:"subject_token_type,omitempty"`

	// The error code for a subject token that is not good: invalid_request (RFC 8693 §2.2.2) or invalid_grant, as many clients expect.
	// Default: invalid_request.
	SubjectTokenError string `json:"subject_token_error,omitempty"`

	// Parameters that are accepted and mean nothing here. Default: none.
	Ignore []string `json:"ignore,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Endpoints) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.oauth_token",
		New: func() caddy.Module { return new(Endpoints) },
	}
}

// Provision finds the server and mounts its endpoints.
func (e *Endpoints) Provision(ctx caddy.Context) error {
	var err error
	if e.server, err = configuredServer(ctx, e.Server); err != nil {
		return err
	}
	paths, err := e.paths()
	if err != nil {
		return err
	}
	e.shared = e.server.shared
	e.routes, err = e.server.core.Mount(paths)
	return err
}

// ServeHTTP answers for the paths of the endpoints.
func (e *Endpoints) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	endpoint := e.routes[r.URL.Path]
	if endpoint == nil {
		return next.ServeHTTP(w, r)
	}
	defer e.shared.use()()
	if err := e.server.ready(r.Context()); err != nil {
		refusal := tokenep.TemporarilyUnavailable.Describe("the server has not started").Because(err)
		refusal.RetryAfter = retryStart
		tokenep.WriteError(w, r, refusal)
		return nil
	}
	endpoint.ServeHTTP(w, r)
	return nil
}

// paths resolves placeholders and checks the options.
func (e *Endpoints) paths() (p server.Paths, err error) {
	for _, t := range e.TokenEndpoints {
		path, err := resolve("token_endpoint", t.Path, server.CheckPath)
		if err != nil {
			return p, err
		}
		code := tokenep.Code(t.SubjectTokenError)
		if code != "" && code != tokenep.InvalidRequest && code != tokenep.InvalidGrant {
			return p, fmt.Errorf("subject_token_error %q: it is invalid_request or invalid_grant", code)
		}
		p.Token = append(p.Token, server.TokenPath{Path: path, Dialect: tokenep.Dialect{
			JSON: t.JSON, SubjectTokenType: t.SubjectTokenType, SubjectTokenError: code, Ignore: t.Ignore,
		}})
	}
	if e.JWKS != "" {
		if p.JWKS, err = resolve("jwks", e.JWKS, server.CheckPath); err != nil {
			return p, err
		}
	}
	if e.Revocation != "" {
		if p.Revocation, err = resolve("revocation", e.Revocation, server.CheckPath); err != nil {
			return p, err
		}
	}
	p.Metadata, err = resolveAll("metadata", e.Metadata, server.CheckPath)
	return p, err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Endpoints)(nil)
	_ caddyhttp.MiddlewareHandler = (*Endpoints)(nil)
)
