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
	w.Header().Set("Cache-Control", cachePrivate) // for a response without a call of WriteHeader
	return &privateWriter{ResponseWriter: w}
}

const cachePrivate = "private, no-store"

// privateWriter replaces the Cache-Control of later handlers when the header is written.
type privateWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *privateWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.wrote = true
		w.Header().Set("Cache-Control", cachePrivate)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *privateWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// FlushError writes the header if that has not been done; [http.ResponseController] looks for this
// method before it unwraps.
func (w *privateWriter) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *privateWriter) Flush() { _ = w.FlushError() }

// Unwrap returns the underlying writer to [http.ResponseController], for hijacking among others.
func (w *privateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
