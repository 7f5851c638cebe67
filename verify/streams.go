package verify

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// streams are the requests of a guard that end with their tokens. One goroutine for each set of
// revocations waits for what is added to it; there is none while nothing is open.
type streams struct {
	mu   sync.Mutex
	open map[*Revocations]map[*stream]struct{}
}

// stream is a request that ends with its token.
type stream struct {
	http.ResponseWriter
	token  *Token
	cancel context.CancelFunc // of the request

	mu          sync.Mutex
	conn        net.Conn // after Hijack
	ended, over bool     // over: the handler has returned
}

// Bound returns w and r for a request that was let in by t, in a form that ends when t is no longer
// good: at its exp and the leeway, or when it is revoked. The context of the request is done then,
// what is written fails, and a connection that was taken over, such as that of a WebSocket, is
// closed. Call release when the request is over. Without CloseStreams, w and r are as they were.
func (g *Guard) Bound(w http.ResponseWriter, r *http.Request, t *Token) (_ http.ResponseWriter, _ *http.Request, release func()) {
	v, ok := g.Verifier.(interface {
		Left(*Token) (time.Duration, *Revocations)
	})
	if !g.CloseStreams || t == nil || !ok {
		return w, r, func() {}
	}
	left, revocations := v.Left(t)
	ctx, cancel := context.WithCancel(r.Context())
	s := &stream{ResponseWriter: w, token: t, cancel: cancel}
	timer := time.AfterFunc(left, s.end)
	if revocations != nil {
		g.streams.add(revocations, s)
		if revocations.Revoked(t) { // after it was verified: nobody is told of that any more
			s.end()
		}
	}
	return s, r.WithContext(ctx), func() {
		timer.Stop()
		if revocations != nil {
			g.streams.remove(revocations, s)
		}
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		cancel()
	}
}

// end ends the request, in a goroutine that is that of no request. Connections and writers may be
// of anybody.
func (s *stream) end() {
	if err := Contain(s.close); err != nil {
		slog.Error("a stream whose token is no longer good could not be ended", "error", err)
	}
}

// close ends the context of the request. A handler may have taken that off the request that it
// passes on, so its connection is ended too.
func (s *stream) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.over {
		return nil
	}
	s.ended = true
	s.cancel()
	if s.conn != nil {
		_ = s.conn.Close() // it may be closed
		return nil
	}
	past := time.Unix(1, 0)
	control := http.NewResponseController(innermost(s.ResponseWriter))
	_ = control.SetReadDeadline(past) // a writer may have no deadlines
	_ = control.SetWriteDeadline(past)
	return nil
}

// Hijack gives the connection to the handler, as long as the token is good.
func (s *stream) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, nil, http.ErrHandlerTimeout
	}
	conn, buffered, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err == nil {
		s.conn = conn
	}
	return conn, buffered, err
}

// innermost returns the writer of net/http, whose deadlines may be set while somebody else writes.
// Those around it may keep them in fields that they read for each write.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// Write fails once the stream has ended: a writer around that of net/http may have set another
// deadline since.
func (s *stream) Write(p []byte) (int, error) {
	if s.isEnded() {
		return 0, http.ErrHandlerTimeout
	}
	return s.ResponseWriter.Write(p)
}

// Flush sends what was written; some handlers look for this method alone.
func (s *stream) Flush() {
	if !s.isEnded() {
		_ = http.NewResponseController(s.ResponseWriter).Flush()
	}
}

func (s *stream) isEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Unwrap returns the underlying writer to [http.ResponseController].
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (g *streams) add(r *Revocations, s *stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(map[*Revocations]map[*stream]struct{})
	}
	open := g.open[r]
	if open == nil {
		open = make(map[*stream]struct{})
		g.open[r] = open
		go g.watch(r)
	}
	open[s] = struct{}{}
}

// remove forgets a stream. The last one of its set wakes the goroutine that waits, which ends.
func (g *streams) remove(r *Revocations, s *stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if delete(g.open[r], s); len(g.open[r]) == 0 {
		r.wake()
	}
}

// watch ends the streams whose tokens are revoked, until none is open.
func (g *streams) watch(r *Revocations) {
	for {
		changed := r.changes()
		g.mu.Lock()
		open := g.open[r]
		if len(open) == 0 {
			delete(g.open, r)
			g.mu.Unlock()
			return
		}
		var revoked []*stream
		for s := range open {
			if r.Revoked(s.token) {
				revoked = append(revoked, s)
			}
		}
		g.mu.Unlock()
		for _, s := range revoked {
			s.end()
		}
		<-changed
	}
}
