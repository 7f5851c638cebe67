package server

import (
	"context"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Routes leads from paths to endpoints. Paths are compared exactly.
type Routes struct {
	endpoints map[string]http.Handler
	folders   map[string]http.Handler // that have an Argument in them
	closed    string                  // the folder in which all else is 404; empty: none is
	nothing   http.Handler
}

// routes puts the places together. The folder <issuer>/oauth/ belongs to the server while one of
// its endpoints lies there: what nobody answers in it is refused, since a client would take the
// empty answer of a proxy, or the page of an upstream, for that of an endpoint.
func (s *Server) routes(places []place, base string, passthrough bool) *Routes {
	r := &Routes{endpoints: make(map[string]http.Handler, len(places)), folders: make(map[string]http.Handler),
		nothing: verify.EarlyHandler(http.HandlerFunc(s.front.Nothing))}
	folder := base + "/oauth/"
	for _, at := range places {
		answer := s.front.Handler(at.endpoint)
		if name := at.endpoint.Argument; name != "" {
			r.folders[at.path+"/"] = withArgument(name, answer)
		} else {
			r.endpoints[at.path] = answer
		}
		if strings.HasPrefix(at.path, folder) && !passthrough {
			r.closed = folder
		}
	}
	return r
}

// withArgument lets a handler read the last segment of the path by this name.
func withArgument(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, last := path.Split(r.URL.Path)
		r.SetPathValue(name, last)
		next.ServeHTTP(w, r)
	})
}

// Paths returns the paths of the endpoints, sorted. One that ends with a slash is that of an
// endpoint with an argument.
func (r *Routes) Paths() []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(r.endpoints)), maps.Keys(r.folders))
	slices.Sort(all)
	return all
}

// Has reports whether an endpoint is at the path.
func (r *Routes) Has(path string) bool { return r.at(path) != nil }

// at returns the endpoint at a path; nil if there is none.
func (r *Routes) at(at string) http.Handler {
	if endpoint := r.endpoints[at]; endpoint != nil {
		return endpoint
	}
	if folder, argument := path.Split(at); argument != "" {
		return r.folders[folder]
	}
	return nil
}

// Find returns what answers for a path; nil for a path that is not the server's.
func (r *Routes) Find(path string) http.Handler {
	if endpoint := r.at(path); endpoint != nil {
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

// open lets requests in. There are keys by then.
func (s *Server) open() { close(s.ready) }

// Ready reports whether requests are answered without waiting for Start.
func (s *Server) Ready() bool { return s.Keys.Inherited() }

// Wait returns when Start has loaded the keys. A new configuration may serve requests before it has
// started; those that need a key wait instead of being refused.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-s.ready: // as nearly always
		return nil
	default:
	}
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
