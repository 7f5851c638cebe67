package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
)

// What go-redis would write to the standard error is told by the errors of the
// verbs, once for each and not for each connection.
func init() { logging.Disable() }

// Options are the settings of a Store; the zero value is usable.
type Options struct {
	// Namespace keeps the records of one server from those of others in the
	// same database; "" means "default". It is 64 bytes at most, and has no braces.
	Namespace string

	// Timeout bounds each verb, with all that it waits for; 0 means 3 seconds. A
	// caller's deadline does too; a cancel is noticed when Redis answers.
	Timeout time.Duration

	// Logger is told of a sweep that failed. nil means slog.Default().
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

// errURL does not show the URL, nor any part of it: what is malformed may have
// a piece of the password where a port or a path should be.
var errURL = errors.New("redis: malformed URL: want redis://user:password@host:port/database, or rediss:// for TLS, " +
	"or unix://path/to/socket; a cluster has further nodes in ?addr=host:port; " +
	"a password with other than letters and digits is percent-encoded")

// Open returns the store at a URL as go-redis reads it, and makes no connection
// before the first verb needs one: while Redis is away the verbs, and not Open,
// return store.ErrUnavailable. It fails if the URL or the options are wrong. No
// error shows the URL.
//
// The settings of go-redis may be parameters of the URL, such as pool_size. A
// URL with a parameter addr, which may be repeated, is that of a cluster.
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
	client, err := connect(address, o.Timeout)
	if err != nil {
		return nil, err
	}
	s := &Store{
		client: client, namespace: o.Namespace, slack: cmp.Or(o.slack, time.Minute),
		line: &engine.Line{Name: "redis", Timeout: o.Timeout, Answer: answer},
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(func() { engine.Sweep(ctx, o.SweepInterval, cmp.Or(o.Logger, slog.Default()), s.Sweep) })
	return s, nil
}

func connect(address string, timeout time.Duration) (redis.UniversalClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errURL
	}
	if u.Query().Has("addr") {
		c, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, errURL
		}
		return redis.NewClusterClient(clusterSettings(c, timeout)), nil
	}
	c, err := redis.ParseURL(address)
	if err != nil {
		return nil, errURL
	}
	return redis.NewClient(settings(c, timeout)), nil
}

// settings keeps what the URL says, and fits the rest to the time-out of a verb.
func settings(c *redis.Options, timeout time.Duration) *redis.Options {
	c.PoolSize = cmp.Or(c.PoolSize, poolSize())
	c.DialTimeout = cmp.Or(c.DialTimeout, timeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, timeout)
	c.PoolTimeout = cmp.Or(c.PoolTimeout, timeout)
	c.ContextTimeoutEnabled = true
	c.MaxRetries, c.DialerRetries = -1, 1 // see once
	// Nothing is asked for that a user of few rights might not be allowed.
	c.DisableIdentity, c.MaintNotificationsConfig = true, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return c
}

func clusterSettings(c *redis.ClusterOptions, timeout time.Duration) *redis.ClusterOptions {
	c.PoolSize = cmp.Or(c.PoolSize, poolSize())
	c.DialTimeout = cmp.Or(c.DialTimeout, timeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, timeout)
	c.PoolTimeout = cmp.Or(c.PoolTimeout, timeout)
	c.ContextTimeoutEnabled = true
	c.MaxRetries, c.DialerRetries = -1, 1
	// Writes are not sent again, so that no failure tells of a fail-over.
	c.ClusterStateReloadInterval = 5 * time.Second
	c.DisableRoutingPolicies = true // each command has a key
	c.DisableIdentity, c.MaintNotificationsConfig = true, &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return c
}

func poolSize() int { return max(32, 10*runtime.GOMAXPROCS(0)) }

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
