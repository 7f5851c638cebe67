package verify

import (
	"bufio"
	"net"
	"net/http"
)

// headerWriter calls before when a handler is about to write the header of its answer.
type headerWriter struct {
	http.ResponseWriter
	before func()
	wrote  bool
}

// writing calls before, the first time.
func (w *headerWriter) writing() {
	if !w.wrote {
		w.wrote = true
		w.before()
	}
}

func (w *headerWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.writing()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *headerWriter) Write(p []byte) (int, error) {
	w.writing()
	return w.ResponseWriter.Write(p)
}

// FlushError writes the header if that has not been done; [http.ResponseController] looks for this
// method before it unwraps.
func (w *headerWriter) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *headerWriter) Flush() { _ = w.FlushError() }

// Hijack leaves the connection, and what is written to it, to the handler.
func (w *headerWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.wrote = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap returns the underlying writer to [http.ResponseController].
func (w *headerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
