package oauthverify

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/sites"
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

// warnOfUnserved logs that no route serves the metadata of a resource. Where the host of its URL is
// that of no route, a proxy in front has another one for it, and what is served is not known.
func warnOfUnserved(http *caddyhttp.App, s *resource) {
	var protected *Handler
	for _, server := range http.Servers {
		if comesTo(server, s.at.String(), func(handler caddyhttp.MiddlewareHandler) bool {
			_, guard := handler.(*Handler)
			_, metadata := handler.(*ResourceMetadata)
			return guard || metadata
		}) {
			return
		}
		comesTo(server, s.metadata.Resource, func(handler caddyhttp.MiddlewareHandler) bool {
			h, guard := handler.(*Handler)
			if guard && h.resource == s {
				protected = h
			}
			return protected != nil
		})
	}
	if protected != nil {
		protected.places.Logger(protected.logger).Warn("resource: challenges say that its metadata are here, and no route serves them: "+
			"write oauth_resource_metadata in the site, outside of handle and route", "resource", s.metadata.Resource, "metadata", s.at.String())
	}
}

// comesTo reports whether a request for a URL comes to a handler that is the right one.
func comesTo(server *caddyhttp.Server, url string, right func(caddyhttp.MiddlewareHandler) bool) bool {
	r, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	if r.URL.Scheme == "https" {
		r.TLS = new(tls.ConnectionState)
	}
	found := false
	err = sites.Find(server, r, func(handler caddyhttp.MiddlewareHandler, _ *http.Request) bool {
		found = found || right(handler)
		return found
	})
	return found && err == nil
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
