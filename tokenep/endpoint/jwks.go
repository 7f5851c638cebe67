package endpoint

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
)

// JWKS serves the public keys of all rings as a JWK Set (RFC 7517 §5), for verifiers elsewhere.
// They may cache it for maxAge; a key is published for at least twice as long before it signs.
func JWKS(rings []*keys.Ring, maxAge time.Duration) tokenep.Endpoint {
	cacheControl := "public, max-age=" + strconv.Itoa(int(maxAge/time.Second))
	return tokenep.Endpoint{
		Name: jwksName, Path: "/oauth/jwks", Member: "jwks_uri",
		Methods: []string{http.MethodGet, http.MethodHead},
		Origins: tokenep.CORS{"*"},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, etag := keys.JoinJWKS(rings)
			h := w.Header()
			h.Set("Cache-Control", cacheControl)
			h.Set("ETag", etag)
			h.Set("Content-Type", "application/json")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		}),
	}
}
