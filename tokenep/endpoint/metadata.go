package endpoint

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Metadata serves the authorization server metadata of RFC 8414 §2. document has its members. It
// never changes while the configuration stands, and its URLs never come from a request.
func Metadata(document map[string]any) (tokenep.Endpoint, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return tokenep.Endpoint{}, err
	}
	length := strconv.Itoa(len(body))
	return tokenep.Endpoint{
		Name:        MetadataName,
		Places:      metadataPlaces,
		Methods:     []string{http.MethodGet, http.MethodHead},
		Origins:     tokenep.CORS{"*"},
		BeforeStart: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", "application/json")
			h.Set("Content-Length", length)
			h.Set("Cache-Control", "public, max-age=300")
			_, _ = w.Write(body)
		}),
	}, nil
}

// metadataPlaces are those of RFC 8414 §3, which inserts the path of the issuer, and of OpenID
// Connect Discovery 1.0 §4, which appends to it. RFC 8414 §5 allows both forms of the latter.
func metadataPlaces(base string) []string {
	places := []string{
		"/.well-known/oauth-authorization-server" + base,
		base + "/.well-known/openid-configuration",
		"/.well-known/openid-configuration" + base,
	}
	slices.Sort(places)
	return slices.Compact(places)
}
