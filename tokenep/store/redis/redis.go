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
	// Namespace separates the records of one authorization server from those of others in the same
	// database; "" means "default". It has at most 64 bytes and no braces.
	Namespace string

	// Timeout bounds each verb, including all waits; 0 means 3 seconds. A caller's deadline does
	// too; a cancellation is only noticed when Redis answers.
	Timeout time.Duration

	// Logger gets failed sweeps, and a warning of a URL that weakens TLS. nil means slog.Default().
	Logger *slog.Logger

	// SweepInterval is how often records that Redis has dropped are removed from the indexes: 0
	// means each minute, and less than 0 means only when Sweep is called.
	SweepInterval time.Duration

	// slack is how long after Expires Redis drops a record: a minute, because the clock of Redis
	// may be ahead of the callers'.
	slack time.Duration
}

// A Store is a store.Store in Redis. Make one with Open.
type Store struct {
	client    redis.UniversalClient
	namespace string
	line      *engine.Line
	slack     time.Duration
	known     sync.Map // the kinds that are in the set kinds of Redis

	stop    context.CancelFunc // ends the sweeps
	running sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open returns the store at a URL in the form that go-redis reads. It makes no connection, which
// the first verb does: while Redis is unavailable the verbs, and not Open, return
// store.ErrUnavailable. Open fails if the URL or the options are wrong. No error shows the URL.
//
// Settings of go-redis, such as pool_size, can be parameters of the URL. A URL with the parameter
// addr, which may be repeated, is that of a cluster. With rediss:// the parameter ca_file names a
// PEM file with the certificates of the authorities that are trusted instead of the system's.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if len(o.Namespace) > 64 || strings.ContainsAny(o.Namespace, "{}") {
		return nil, fmt.Errorf("redis: namespace must have at most 64 bytes and no braces, got %q", o.Namespace)
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
		logger.Warn("store: the certificate of Redis is not verified, because its URL has skip_verify")
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(func() { engine.Sweep(ctx, o.SweepInterval, logger, s.Sweep) })
	return s, nil
}

// Check returns an error if Open would refuse the address. It makes no connection.
func Check(address string) error {
	client, err := connect(address, time.Second)
	if err != nil {
		return err
	}
	return client.Close()
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
