package verify

import "net/http"

// Private returns a writer that marks the response as private if the token of r is in the query:
// the URL of such a response is a credential (RFC 6750 §2.3). Otherwise, and always without
// InsecureQueryToken, it returns w. Call it before [Guard.Admit], which removes the token from the
// URL.
func (g *Guard) Private(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if !g.InsecureQueryToken || findToken(r.URL.RawQuery).count == 0 {
		return w
	}
	mark := func() { w.Header().Set("Cache-Control", "private, no-store") }
	mark() // for a response without a call of WriteHeader
	// Later handlers may set it to something else.
	return &headerWriter{ResponseWriter: w, before: mark}
}
