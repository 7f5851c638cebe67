package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ResourceWellKnown is inserted before the path of a resource (RFC 9728 §3.1).
const ResourceWellKnown = "/.well-known/oauth-protected-resource"

// ResourceMetadata tells clients what a protected resource is called, and where its tokens come
// from (RFC 9728 §2). As a handler it serves the document to anybody, from any origin.
type ResourceMetadata struct {
	// Resource is the URL of the resource, as the configuration has it. REQUIRED.
	Resource string `json:"resource"`

	// AuthorizationServers are the issuers whose tokens are accepted.
	AuthorizationServers []string `json:"authorization_servers,omitempty"`

	// ScopesSupported are the scope-tokens that requests may need.
	ScopesSupported []string `json:"scopes_supported,omitempty"`

	// BearerMethodsSupported are the places that tokens are taken from: "header", "body" and
	// "query" (RFC 6750 §2). There is no word for others.
	BearerMethodsSupported []string `json:"bearer_methods_supported,omitempty"`

	// ProofAlgorithms are those of DPoP proofs, if they are taken (RFC 9449 §5.1). ProofRequired
	// says that each token must be bound to a key of its client.
	ProofAlgorithms []string `json:"dpop_signing_alg_values_supported,omitempty"`
	ProofRequired   bool     `json:"dpop_bound_access_tokens_required,omitempty"`

	// CertificateBound says that tokens may be bound to certificates of clients (RFC 8705 §3.3).
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

var errResourceQuery = errors.New("it must have no query")

// CheckResource returns what is wrong with the URL of a resource (RFC 9728 §1.2), or nil. A query
// is refused: another one would be another resource.
func CheckResource(resource string) error {
	if err := checkURL("resource", resource); err != nil {
		return err
	}
	if strings.Contains(resource, "?") {
		return fmt.Errorf("resource %q: %w", resource, errResourceQuery)
	}
	return nil
}

// MetadataURL returns where the metadata of a resource is (RFC 9728 §3.1): for
// https://api.example.com/orders that is
// https://api.example.com/.well-known/oauth-protected-resource/orders.
func MetadataURL(resource string) (*url.URL, error) {
	if err := CheckResource(resource); err != nil {
		return nil, err
	}
	u, err := url.Parse(resource)
	if err != nil {
		return nil, err
	}
	if u.Path == "/" {
		u.Path, u.RawPath = "", ""
	}
	if u.RawPath != "" {
		u.RawPath = ResourceWellKnown + u.RawPath
	}
	u.Path = ResourceWellKnown + u.Path
	return u, nil
}

// Metadata returns the metadata of Resource: what g takes, and the issuers that its verifier
// trusts.
func (g *Guard) Metadata(authorizationServers ...string) ResourceMetadata {
	_ = g.Validate() // which collects the scope
	m := ResourceMetadata{Resource: g.Resource, AuthorizationServers: authorizationServers, BearerMethodsSupported: []string{"header"}}
	if g.FormToken {
		m.BearerMethodsSupported = append(m.BearerMethodsSupported, "body")
	}
	if g.InsecureQueryToken {
		m.BearerMethodsSupported = append(m.BearerMethodsSupported, "query")
	}
	if g.dpop != nil {
		m.ProofAlgorithms, m.ProofRequired = algorithmNames(), g.dpop.required
	}
	supported := g.required
	if g.MCP != nil {
		supported = supported.with(g.MCP.scope())
	}
	m.ScopesSupported = slices.Clone(supported)
	return m
}

// Add adds what another guard says of the same resource, for other requests to it.
func (m *ResourceMetadata) Add(other ResourceMetadata) {
	m.ProofRequired, m.CertificateBound = m.ProofRequired && other.ProofRequired, m.CertificateBound || other.CertificateBound
	for _, list := range []struct{ into, from *[]string }{
		{&m.AuthorizationServers, &other.AuthorizationServers},
		{&m.ScopesSupported, &other.ScopesSupported},
		{&m.BearerMethodsSupported, &other.BearerMethodsSupported},
		{&m.ProofAlgorithms, &other.ProofAlgorithms},
	} {
		for _, value := range *list.from {
			if !slices.Contains(*list.into, value) {
				*list.into = append(*list.into, value)
			}
		}
	}
}

// ServeHTTP answers GET, HEAD and the preflight requests of CORS.
func (m ResourceMetadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const methods = "GET, HEAD, OPTIONS"
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		body, _ := json.Marshal(m) // it has nothing but strings
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body) // the connection may be gone
	case http.MethodOptions:
		h.Set("Allow", methods)
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, MCP-Protocol-Version")
		h.Set("Access-Control-Max-Age", "7200")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", methods)
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}
