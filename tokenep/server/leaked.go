package server

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"regexp"
	"sync"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Reports of leaked credentials that are taken in an hour, and the credentials that wait at a time.
// Of more, those that came last are dropped: whoever finds them may tell again.
const (
	leaksPerAddress = 60
	leaksInAll      = 6000
	maxLeaks        = 8192
	leakRetry       = 5 * time.Second
	leakTries       = 100 // of one

	// Slow hashes that are computed for reports in an hour.
	slowLeaksPerAddress = 100
	slowLeaksInAll      = 2000
)

// leak is a credential that was reported.
type leak struct {
	credential string
	from       netip.Addr
	tries      int
}

// leaks are the credentials that wait, by what it costs to tell what they are. None waits for those
// that cost more.
type leaks struct {
	checked leakQueue // told by prefix and checksum: a read
	fitting leakQueue // by the form that another system's have: some reads
	slow    leakQueue // one of those that exist, it seems: a slow hash
}

func newLeaks() *leaks {
	return &leaks{newLeakQueue(maxLeaks), newLeakQueue(maxLeaks), newLeakQueue(slowLeaksInAll)}
}

// leakQueue is credentials that wait. It takes no memory for those that do not come.
type leakQueue struct {
	mu      sync.Mutex
	waiting []leak
	most    int
	wake    chan struct{} // has something when waiting may have
}

func newLeakQueue(most int) leakQueue {
	return leakQueue{most: most, wake: make(chan struct{}, 1)}
}

// add reports whether there was room.
func (q *leakQueue) add(l leak) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.most {
		return false
	}
	q.waiting = append(q.waiting, l)
	q.signal()
	return true
}

func (q *leakQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next returns the credential that waits for the longest time, when there is one, or false when ctx
// is done. Whoever takes over is woken then.
func (q *leakQueue) next(ctx context.Context) (l leak, ok bool) {
	for {
		q.mu.Lock()
		if ctx.Err() == nil && len(q.waiting) > 0 {
			l, q.waiting = q.waiting[0], q.waiting[1:]
			q.mu.Unlock()
			return l, true
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			q.signal()
			return leak{}, false
		case <-q.wake:
		}
	}
}

// leaked is the endpoint for credentials that were found where they should not be.
func (s *Server) leaked() tokenep.Endpoint {
	return endpoint.Leaked{Front: s.front, Pace: s.Config.Memory.leakPace, Report: s.reportLeak}.Endpoint()
}

// reportLeak takes a credential that may be one of this server's, told by its form alone.
func (s *Server) reportLeak(credential string, from netip.Addr) {
	tokens, queues := s.apiTokens(), s.Config.Memory.leaks
	_, _, isSecret := registry.ParseSecret(credential)
	switch {
	case isSecret, state.IsRefreshToken(credential), tokens != nil && state.IsAPIToken(credential):
		s.queueLeak(&queues.checked, leak{credential: credential, from: from})
	case tokens != nil && tokens.Recognizes(credential):
		s.queueLeak(&queues.fitting, leak{credential: credential, from: from})
	}
}

func (s *Server) queueLeak(queue *leakQueue, l leak) {
	if !queue.add(l) {
		s.warnLeftOut()
	}
}

func (s *Server) warnLeftOut() {
	s.Config.Logger.Warn("so many leaked credentials were reported that some are left out")
}

// revokeLeaked revokes what was reported, until ctx is done.
func (s *Server) revokeLeaked(ctx context.Context) {
	queues := s.Config.Memory.leaks
	go s.revokeQueued(ctx, &queues.checked, false)
	go s.revokeQueued(ctx, &queues.fitting, false)
	s.revokeQueued(ctx, &queues.slow, true)
}

// revokeQueued revokes what is in a queue, one after the other. One that fails goes to its end.
func (s *Server) revokeQueued(ctx context.Context, queue *leakQueue, slow bool) {
	for {
		l, ok := queue.next(ctx)
		if !ok {
			return
		}
		if verify.Contain(func() error { return s.endLeaked(ctx, l, slow) }) == nil {
			continue
		}
		select {
		case <-ctx.Done(): // for the configuration that takes over
			s.queueLeak(queue, l)
			return
		case <-time.After(leakRetry):
		}
		if l.tries++; l.tries < leakTries {
			s.queueLeak(queue, l)
		}
	}
}

// endLeaked revokes one credential, if it is live. An error means that it is not known. What needs
// a slow hash waits for that elsewhere, unless slow is set.
func (s *Server) endLeaked(ctx context.Context, l leak, slow bool) error {
	credential := l.credential
	if id, _, ok := registry.ParseSecret(credential); ok {
		ended, err := s.Clients.EndSecret(ctx, id, credential)
		if ended {
			s.Config.Logger.Warn("the secret of a client was leaked; it has ended, and so have the client's tokens: add the client anew", "client", id)
		}
		return s.leakFailed(err)
	}
	if state.IsRefreshToken(credential) {
		ended := state.Family{}
		err := s.Families.RevokeToken(ctx, credential, func(f state.Family) error {
			ended = f
			return nil
		})
		if err == nil && ended.ID != "" {
			s.front.Log.Event(ctx, "refresh token leaked, and revoked",
				slog.String("client", ended.ClientID), slog.String("sub", ended.Subject), slog.String("grant_id", ended.ID))
		}
		return s.leakFailed(err)
	}
	tokens := s.apiTokens()
	if tokens == nil {
		return nil // it was reported to a configuration that had some
	}
	_, err := tokens.RevokeLeaked(ctx, credential, slow)
	if !errors.Is(err, state.ErrSlowHash) {
		return s.leakFailed(err)
	}
	if s.Config.Memory.slowLeaks.Take(l.from) != nil {
		s.warnLeftOut()
		return nil
	}
	s.queueLeak(&s.Config.Memory.leaks.slow, l)
	return nil
}

// leakFailed returns the errors after which a credential may still be live.
func (s *Server) leakFailed(err error) error {
	if err == nil || errors.Is(err, state.ErrRefused) || errors.Is(err, state.ErrBadAPIToken) || errors.Is(err, tokenep.InvalidClient) {
		return nil
	}
	s.Config.Logger.Error("a leaked credential could not be revoked; it is tried again", "error", err)
	return err
}

// SecretPatterns returns regular expressions, for secret scanners, of the credentials that this
// server generates, by their kinds.
func (s *Server) SecretPatterns() map[string]string {
	patterns := map[string]string{"refresh_token": state.RefreshTokenPattern, "client_secret": registry.SecretPattern}
	if t := s.apiTokens(); t != nil {
		patterns["api_token"] = state.APITokenPattern(regexp.QuoteMeta(t.Prefix))
	}
	return patterns
}
