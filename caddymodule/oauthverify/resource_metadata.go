package oauthverify

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

// ResourceMetadata serves the metadata of the resources that routes of oauth_verify protect, at
// /.well-known/oauth-protected-resource before the path of each (RFC 9728 §3). All other requests
// pass. A site needs it where no oauth_verify sees requests to these paths: where each is within a
// handle block, for example.
type ResourceMetadata struct {
	app *App
}

// resource is a protected resource of this configuration.
type resource struct {
	at       *url.URL // where its metadata is
	metadata verify.ResourceMetadata
}

// CaddyModule returns the Caddy module information.
func (*ResourceMetadata) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.oauth_resource_metadata",
		New: func() caddy.Module { return new(ResourceMetadata) },
	}
}

// Provision finds the resources.
func (m *ResourceMetadata) Provision(ctx caddy.Context) (err error) {
	m.app, err = sharedApp(ctx)
	return err
}

func sharedApp(ctx caddy.Context) (*App, error) {
	app, err := ctx.App(appName) // which exists even if nothing of it is configured
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// ServeHTTP serves the metadata.
func (m *ResourceMetadata) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if metadata := m.app.metadata(r); metadata != nil {
		metadata.ServeHTTP(w, r)
		return nil
	}
	return next.ServeHTTP(w, r)
}

// metadata returns what is known of the resource of that host whose metadata r is for, or nil.
func (a *App) metadata(r *http.Request) http.Handler {
	for _, known := range a.resources[r.URL.Path] {
		if known.isFor(r) {
			return known.metadata
		}
	}
	return nil
}

// isFor reports whether a request is for the host of the resource.
func (s *resource) isFor(r *http.Request) bool {
	usual := map[string]string{"https": "443", "http": "80"}[s.at.Scheme]
	return strings.EqualFold(withPort(s.at.Host, usual), withPort(r.Host, usual))
}

func withPort(host, usual string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), usual)
}

// describe adds what a route asks for to the metadata of its resource.
func (a *App) describe(metadata verify.ResourceMetadata) (*resource, error) {
	at, err := verify.MetadataURL(metadata.Resource)
	if err != nil {
		return nil, err
	}
	for _, known := range a.resources[at.Path] {
		if known.metadata.Resource == metadata.Resource {
			known.metadata.Add(metadata)
			return known, nil
		}
	}
	if a.resources == nil {
		a.resources = make(map[string][]*resource)
	}
	added := &resource{at, metadata}
	a.resources[at.Path] = append(a.resources[at.Path], added)
	return added, nil
}

// metadataOf returns the metadata that a request is for: that of the route's own resource, whatever
// a proxy in front makes of the host, or of another one of the same host; nil: it is for none.
func (h *Handler) metadataOf(r *http.Request) http.Handler {
	if !strings.HasPrefix(r.URL.Path, verify.ResourceWellKnown) {
		return nil
	}
	if h.resource != nil && r.URL.Path == h.resource.at.Path {
		return h.resource.metadata
	}
	return h.app.metadata(r)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*ResourceMetadata)(nil)
	_ caddyhttp.MiddlewareHandler = (*ResourceMetadata)(nil)
)
