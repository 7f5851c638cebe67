package endpoint

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Metadata is the authorization server metadata of RFC 8414 §2. The URLs come from the configuration, never from the request.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	ScopesSupported       []string `json:"scopes_supported,omitempty"`
	ResponseTypes         []string `json:"response_types_supported"` // REQUIRED; empty where there is no authorization endpoint
	GrantTypes            []string `json:"grant_types_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`               // OpenID Connect Discovery 1.0 §3
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"` // likewise: what this server signs with
}

// ServeMetadata serves the document, which never changes while the configuration stands.
func ServeMetadata(m Metadata) (http.Handler, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	length := strconv.Itoa(len(body))
	return tokenep.Methods(tokenep.CORS{"*"}, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", length)
		h.Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body)
	}, http.MethodGet, http.MethodHead), nil
}
