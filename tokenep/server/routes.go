package server

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Routes leads from paths to endpoints. Paths are compared exactly.
type Routes struct {
	endpoints map[string]http.Handler
	closed    string // the folder in which every other path is 404; empty: there is none
	nothing   http.Handler
}

// routes puts the places together. The folder <issuer>/oauth/ belongs to the server while one of
// its endpoints lies there: what nobody answers in it is refused, since a client would take the
// empty answer of a proxy, or the page of an upstream, for that of an endpoint.
func (s *Server) routes(places []place, base string, passthrough bool) *Routes {
	r := &Routes{endpoints: make(map[string]http.Handler, len(places)), nothing: verify.EarlyHandler(http.HandlerFunc(s.front.Nothing))}
	folder := base + "/oauth/"
	for _, at := range places {
		r.endpoints[at.path] = s.front.Handler(at.endpoint)
		if strings.HasPrefix(at.path, folder) && !passthrough {
			r.closed = folder
		}
	}
	return r
}

// Paths returns the paths of the endpoints, sorted.
func (r *Routes) Paths() []string { return slices.Sorted(maps.Keys(r.endpoints)) }

// Has reports whether an endpoint is at the path.
func (r *Routes) Has(path string) bool { return r.endpoints[path] != nil }

// Find returns what answers for a path; nil for a path that is not the server's.
func (r *Routes) Find(path string) http.Handler {
	if endpoint := r.endpoints[path]; endpoint != nil {
		return endpoint
	}
	if r.closed != "" && strings.HasPrefix(path, r.closed) {
		return r.nothing
	}
	return nil
}

// Handler returns a handler that answers for the paths of the server, and leaves all others to
// next.
func (r *Routes) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if endpoint := r.Find(req.URL.Path); endpoint != nil {
			endpoint.ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(w, req)
	})
}
