package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
)

// Options are the settings of a Store; the zero value is usable.
type Options struct {
	// Namespace keeps the records of one server from those of others in the
	// same database; "" means "default". It is 64 bytes at most, and has no braces.
	Namespace string

	// Timeout bounds each verb, with all that it waits for; 0 means 3 seconds. A
	// caller's deadline does too; a cancel is noticed when Redis answers.
	Timeout time.Duration

	// Logger is told of a sweep that failed, and of a URL that loosens TLS. nil
	// means slog.Default().
	Logger *slog.Logger

	// SweepInterval is how often the indexes are cleaned of what Redis has
	// dropped: 0 means each minute, and less than 0 only when Sweep is called.
	SweepInterval time.Duration

	// slack is how long after its time Redis drops a record, a minute: Redis goes
	// by its own clock, which may be ahead of the callers'.
	slack time.Duration
}

// A Store is a store.Store in Redis. Make one with Open.
type Store struct {
	client    redis.UniversalClient
	namespace string
	line      *engine.Line
	slack     time.Duration
	known     sync.Map // the kinds that Redis was told of

	stop    context.CancelFunc // ends the sweeps
	running sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open returns the store at a URL as go-redis reads it, and makes no connection
// before the first verb needs one: while Redis is away the verbs, and not Open,
// return store.ErrUnavailable. It fails if the URL or the options are wrong. No
// error shows the URL.
//
// The settings of go-redis may be parameters of the URL, such as pool_size. A
// URL with a parameter addr, which may be repeated, is that of a cluster. With
// rediss:// the parameter ca_file names a file of certificates, in PEM, of the
// authorities that are trusted instead of the system's.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if len(o.Namespace) > 64 || strings.ContainsAny(o.Namespace, "{}") {
		return nil, fmt.Errorf("redis: namespace %q is longer than 64 bytes or has braces", o.Namespace)
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	logger := cmp.Or(o.Logger, slog.Default())
	client, err := connect(address, o.Timeout)
	if err != nil {
		return nil, err
	}
	s := &Store{
		client: client, namespace: o.Namespace, slack: cmp.Or(o.slack, time.Minute),
		line: &engine.Line{Name: "redis", Timeout: o.Timeout, Answer: answer},
	}
	if insecure(client) {
		logger.Warn("store: the certificate of Redis is not verified, since its URL says skip_verify")
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(func() { engine.Sweep(ctx, o.SweepInterval, logger, s.Sweep) })
	return s, nil
}

// Close ends the connections. Every later verb returns store.ErrUnavailable.
func (s *Store) Close() error {
	s.stop()
	err := s.client.Close()
	s.running.Wait()
	if errors.Is(err, redis.ErrClosed) {
		return nil
	}
	return err
}

// answer reports whether Redis has sent an error.
func answer(err error) bool {
	var sent redis.Error
	return errors.As(err, &sent)
}
