package verify

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// AnswerEarly keeps the answer to r from waiting for the rest of a body that nobody will read. Call
// it when r is certain to be refused, and before anybody writes the header of the answer; who that
// will be does not matter. It knows what was read since r went through [Guard.Admit].
//
// Over HTTP/1.1, net/http reads up to 256 KiB of such a body before it answers, so as to use the
// connection again. If r announces a body that was not read to its end, the answer goes out at once
// and with Connection: close. Then the connection is closed in one direction and, after half a
// second, in both, so that no reset overtakes the answer (RFC 9112 §9.6). Until the handler returns
// the body can still be read.
//
// Other requests keep their connection. Over HTTP/2 and HTTP/3 no answer waits, and the stream
// alone ends (RFC 9113 §8.1).
func AnswerEarly(w http.ResponseWriter, r *http.Request) {
	if announcesBody(r) && !ended(r.Body) {
		hangUp(w, r)
	}
}

// EarlyHandler returns a handler that answers as next does, which must be the last one for its
// requests. No answer waits for what next has not read of a body before it writes the header; see
// [AnswerEarly].
func EarlyHandler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !announcesBody(r) {
			next.ServeHTTP(w, r)
			return
		}
		// net/http looks at the body of the request that it made.
		e := &earlyExchange{request: *r, body: countedBody{ReadCloser: r.Body, left: r.ContentLength}}
		e.request.Body = &e.body
		e.answer = headerWriter{ResponseWriter: w, before: func() {
			if !e.body.ended() {
				hangUp(w, &e.request)
			}
		}}
		next.ServeHTTP(&e.answer, &e.request)
		e.answer.writing() // the header of an empty answer is left to net/http
	})
}

// earlyExchange is a request and its answer, as the handler of an [EarlyHandler] gets them.
type earlyExchange struct {
	request http.Request
	body    countedBody
	answer  headerWriter
}

// announcesBody reports whether r is a request of HTTP/1 with a body: the server of net/http says 0
// where none is announced, and -1 where the length is unknown.
func announcesBody(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody
}

// hangUp has the server answer r without its body, and end the connection.
//
// A body over a limit is the one for which net/http does all of it: it does not read on before the
// answer, writes Connection: close whatever handlers do to that header, and lingers.
// EnableFullDuplex does the first alone. After the handler, net/http would still wait for 256 KiB
// of the body before it closes anything, so reading fails from then on: the context of a request
// ends between the two.
func hangUp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // for a writer that hides the server's
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = outer.Unwrap()
	}
	tooLarge := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = tooLarge.Read(make([]byte, 1))
	context.AfterFunc(r.Context(), func() {
		_ = Contain(func() error { return http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) })
	})
}

// countedBody is a body that knows whether it was read to its end.
type countedBody struct {
	io.ReadCloser
	left  int64 // bytes of Content-Length that were not read; negative if there is none
	atEnd atomic.Bool
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left == 0 || errors.Is(err, io.EOF) {
		b.atEnd.Store(true)
	}
	return n, err
}

func (b *countedBody) ended() bool { return b.atEnd.Load() || ended(b.ReadCloser) }

// ended reports whether a body is known to have been read to its end.
func ended(body any) bool {
	b, ok := body.(interface{ ended() bool })
	return ok && b.ended()
}
