package verify

import "net/http"

// Private gives a writer that marks the response as private when the token of r came in the query: RFC 6750 §2.3 asks
// for that, as the URL of such a response is a credential. Call it before [Guard.Admit], which takes the token from
// the URL. In every other case, and always without InsecureQueryToken, it gives w itself.
func (g *Guard) Private(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if !g.InsecureQueryToken || findToken(r.URL.RawQuery).count == 0 {
		return w
	}
	w.Header().Set("Cache-Control", privately) // for a response whose header is never written explicitly
	return &privateWriter{ResponseWriter: w}
}

const privately = "private, no-store"

// privateWriter replaces Cache-Control at the last moment, whatever the handlers behind it have put there.
type privateWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *privateWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.wrote = true
		w.Header().Set("Cache-Control", privately)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *privateWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// FlushError sends the header if need be; [http.ResponseController] looks for it before it unwraps.
func (w *privateWriter) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *privateWriter) Flush() { _ = w.FlushError() }

// Unwrap gives [http.ResponseController] the writer beneath, to hijack for instance.
func (w *privateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
